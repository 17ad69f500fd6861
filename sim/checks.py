"""What a simulation is given: looked at before it begins, and requests as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sim.cluster import Cluster
from sim.policy import Batching, Eviction, Order, Policy, Predictor
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


def check_parts(policy: Policy, cluster: Cluster, predictor: Predictor, unservable: str, audit: bool) -> None:
    """TypeError for a part that is none, ValueError for what does not go together."""
    if not isinstance(policy.order, Order):
        raise TypeError(f"an order must be a sim.policy.Order, {type(policy.order).__name__} is none")
    for batching in (policy.batching, *(device.batching for device in cluster.devices if device.batching)):
        if not isinstance(batching, Batching):
            raise TypeError(f"a batching must be a sim.policy.Batching, {type(batching).__name__} is none")
    if not isinstance(policy.eviction, Eviction):
        raise TypeError(f"an eviction must be a sim.policy.Eviction, {type(policy.eviction).__name__} is none")
    if not isinstance(predictor, Predictor):
        raise TypeError(f"a predictor must be a sim.policy.Predictor, {type(predictor).__name__} is none")
    if unservable not in ("reject", "fail"):
        raise ValueError(f"unservable must be reject or fail, got {unservable!r}")
    if cluster.steps_together and audit:
        raise ValueError("the memory of a cluster that steps_together is not audited")
