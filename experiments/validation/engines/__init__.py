"""Real engines that serve a trace in real time, one a file, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pandas as pd

from sim import Device, Policy
from sim.job import Job
from sim.policy import Order

COLUMNS = (
    "id", "arrival", "prompt_tokens", "output_tokens", "first_scheduled", "first_token", "last_token", "finished",
)  # fmt: skip
NAMES = ("hf", "vllm", "vllm_server")

Progress = Callable[[], object]  # called as each request ends
Idle = Callable[[float], object]  # called when nothing is inside, with the seconds until the next request comes


class Unavailable(RuntimeError):  # noqa: N818 - the state an engine is in
    """An engine that cannot be started here; the message says what is missing."""


class Engine(Protocol):
    """A model on this machine, and what serves requests with it."""

    @property
    def limits(self) -> dict[str, int]:
        """What the simulated device has to have in common with it: fields of `sim.Device`, tokens."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Versions and settings, for the record."""
        ...

    def anchor(self, batch: int, context: int) -> tuple[float, float] | None:
        """Seconds of the prefill and of a decode step of the anchor (`profiles.measuring.passes.Timed`), timed now.

        None for an engine whose steps cannot be seen.
        """
        ...

    def serve(
        self, jobs: Sequence[Job], policy: Policy, device: Device, progress: Progress, idle: Idle
    ) -> pd.DataFrame:
        """Serve `jobs` (in order of arrival), each from its arrival on, in real time; `device` is the simulator's.

        A row a request with `COLUMNS`: instants in seconds from the trace's start. `last_token` is when the request's
        own last token was there, `finished` when it was answered: in a static batch at the batch's end.
        """
        ...

    def close(self) -> None:
        """Let the model go."""
        ...


def row(job: Job, first_scheduled: float, first_token: float, last_token: float, finished: float) -> tuple[Any, ...]:
    """A row of the table that `serve` returns; instants in seconds."""
    request = job.request
    lengths = (request.prompt_tokens, request.truth.output_tokens)
    return (request.id, request.arrival, *lengths, first_scheduled, first_token, last_token, finished)


def table_of(rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """The table that `serve` returns, by id."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("id", ignore_index=True)


def priorities(jobs: Sequence[Job], order: Order) -> list[int]:
    """For each job its place among the ranks of all, 0 for the first to go; equal ranks share one.

    An engine that is told a priority once, with the request, can follow an order whose ranks hold as long as a job
    waits. ValueError for another.
    """
    if not order.fixed:
        raise ValueError(
            f"{type(order).__name__} ranks those who wait anew as time goes on; vLLM is told a priority once, with the "
            "request: choose a FixedOrder (fifo, sjf, hpf, luf, muf, up, aging)"
        )
    ranks = [order.rank(job, job.request.arrival) for job in jobs]
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)))}
    return [places[rank] for rank in ranks]
