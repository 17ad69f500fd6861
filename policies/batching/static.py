"""Static batches that run to completion."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sim.execution import RequestLevel
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold


def waits_since(job: Job) -> float:
    """When `job` began to wait, s: at first, or when its last call was over."""
    since = job.queued if job.resumed is None else job.resumed
    if since is None:
        raise ValueError(f"{job} has not begun to wait")
    return since


def oldest_deadline(waiting: Sequence[Job], max_wait: float) -> float:
    """When the job that waited longest has waited `max_wait` seconds."""
    return min(map(waits_since, waiting)) + max_wait


@dataclass(frozen=True, slots=True)
class Static(Batching):
    """Static batching: the first `batch_size` jobs run, padded, until the last is complete.

    A batch that is not full waits until its oldest member has waited `max_wait` seconds.
    """

    batch_size: int
    max_wait: float = 0.0
    execution: RequestLevel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.max_wait >= 0:
            raise ValueError(f"max_wait must not be negative, got {self.max_wait}")
        object.__setattr__(self, "execution", RequestLevel(self.batch_size, window=self.batch_size))

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """The next batch, when it is full or has waited long enough."""
        until = oldest_deadline(waiting, self.max_wait)
        if len(waiting) < self.batch_size and now < until:
            return Hold(until)
        return waiting
