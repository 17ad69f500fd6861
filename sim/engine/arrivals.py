"""Requests as they come, each looked at as it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sim.request import Request


def in_order(requests: Iterable[Request]) -> Iterator[Request]:
    """`requests`, each looked at as it comes: ValueError for an id that came before, or an arrival out of order."""
    last = 0.0
    numbered = 0  # all ids below were there, as of requests that are numbered from 0 in their order
    ids: set[int] = set()  # and these
    for request in requests:
        if request.id == numbered and not ids:
            numbered += 1
        elif 0 <= request.id < numbered or request.id in ids:
            raise ValueError(f"two requests have the id {request.id}")
        else:
            ids.add(request.id)
        if request.arrival < last:
            raise ValueError(f"request {request.id} arrives at {request.arrival} s, after one at {last} s")
        last = request.arrival
        yield request
