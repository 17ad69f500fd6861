"""ALISE's order: priority queues by the estimated remaining execution time, with ageing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from policies.order.execution_time import ExecutionTime
from sim.job import Job
from sim.policy import ALWAYS, NotingOrder, Stands


class Place(NamedTuple):
    """How many levels a job was promoted, and since when (s) it waits for the next promotion."""

    promoted: int
    since: float


@dataclass(frozen=True, slots=True)
class Alise(NotingOrder):
    """Rank by queue, then by arrival: queue n takes who needs at most `quantum` * `growth`^n s more by `time`.

    The last of so many `levels` takes all others. Who waits `patience` times that time of its queue in one go goes up a
    queue, and keeps what it went up. [A] all but that there are queues by remaining time, and ageing [R, S].
    """

    time: ExecutionTime
    quantum: float = 0.25
    growth: float = 2.0
    levels: int = 8
    patience: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.quantum < math.inf:
            raise ValueError(f"quantum must be positive and finite, got {self.quantum} s")
        if not 1 < self.growth < math.inf:
            raise ValueError(f"growth must be above 1 and finite, got {self.growth}")
        if not self.levels >= 1:
            raise ValueError(f"levels must be at least 1, got {self.levels}")
        if not self.patience > 0:
            raise ValueError(f"patience must be positive, got {self.patience}")

    def note(self, job: Job, now: float, steps: int) -> Place:
        """The job's promotions up to now."""
        promoted, since = job.note or Place(0, now)
        if job.runs or job.paused is not None:
            return Place(promoted, now)
        own = self._own_level(job)
        while promoted < own and now >= since + self._wait(own - promoted):
            promoted, since = promoted + 1, since + self._wait(own - promoted)
        return Place(promoted, since)

    def rank(self, job: Job, now: float) -> float:
        """The queue."""
        return float(max(0, self._own_level(job) - job.note.promoted))

    def stands(self, job: Job, now: float) -> Stands:
        """Until a promotion; of a job that runs until its predictor may say that more is left than it said."""
        if job.runs:
            return Stands(tokens=job.refined_at(job.emitted) - job.emitted)
        level = self._own_level(job) - job.note.promoted
        return Stands(instant=job.note.since + self._wait(level)) if level > 0 else ALWAYS

    def until_first(self, job: Job, now: float) -> float:
        """Seconds until `job`, which waits, is promoted to the first queue."""
        if not isinstance(job.note, Place):
            raise ValueError(f"{type(self).__name__} has noted nothing of {job}: is it the policy's order?")
        level = self._own_level(job) - job.note.promoted
        return job.note.since + math.fsum(self._wait(one) for one in range(1, level + 1)) - now if level > 0 else 0.0

    def _own_level(self, job: Job) -> int:
        """The queue of a job that was never promoted."""
        left = self.time.remaining(job)
        return next((n for n in range(self.levels - 1) if left <= self.quantum * self.growth**n), self.levels - 1)

    def _wait(self, level: int) -> float:
        """Seconds that a job waits in a queue before it is promoted."""
        return self.patience * self.quantum * self.growth**level
