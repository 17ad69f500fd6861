"""RT-LM's dynamic consolidation: batches of jobs whose predicted lengths are alike."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from policies.batching.static import oldest_deadline
from sim.execution import RequestLevel
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold


@dataclass(frozen=True, slots=True)
class Consolidation(Batching):
    """Static batches of at most `batch_size` (C_f) jobs, the largest uncertainty at most `ratio` times the smallest.

    The first `lookahead` * `batch_size` jobs in rank order are looked at, once so many wait or the oldest of them has
    waited `max_wait` seconds. The batch holds the first in rank and its nearest neighbours in uncertainty. The symbols
    b (lookahead), lambda (ratio), C_f and xi (max_wait) are RT-LM's; the algorithm between them is our assumption.
    """

    batch_size: int
    lookahead: float
    ratio: float
    max_wait: float
    execution: RequestLevel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.lookahead < math.inf:
            raise ValueError(f"lookahead must be finite and at least 1, got {self.lookahead}")
        if not self.ratio >= 1:
            raise ValueError(f"ratio must be at least 1, got {self.ratio}")
        if not self.max_wait >= 0:
            raise ValueError(f"max_wait must not be negative, got {self.max_wait}")
        window = int(self.lookahead * self.batch_size)
        object.__setattr__(self, "execution", RequestLevel(self.batch_size, window))

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """When enough wait or have waited long enough, the first in rank and its like."""
        until = oldest_deadline(waiting, self.max_wait)
        if len(waiting) < self.execution.window and now < until:
            return Hold(until)
        return self._alike(waiting)

    def _alike(self, waiting: tuple[Job, ...]) -> Sequence[Job]:
        """The first of `waiting` and its nearest neighbours in uncertainty, within size and ratio."""
        first = waiting[0]
        low = high = first.prediction.uncertainty
        batch = [first]
        neighbours = sorted(waiting[1:], key=lambda job: abs(job.prediction.uncertainty - first.prediction.uncertainty))
        for job in neighbours:
            new_low = min(low, job.prediction.uncertainty)
            new_high = max(high, job.prediction.uncertainty)
            if len(batch) == self.batch_size:
                break
            if new_high <= self.ratio * new_low:
                low, high = new_low, new_high
                batch.append(job)
        return batch
