"""TIE (ICML 2026, arXiv 2604.00499): the expected length, inflated by its tail; who waits comes forward."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.order.distributed import distribution_of
from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class TIE(FixedOrder):
    """Rank by score * `decay`^(waited / `period`), with the score E[X] + b CVaR[X] of the predicted length X, tokens.

    CVaR is the mean of the longest share 1 - `tail` of the answers; b is `step` for every `seats` jobs that waited when
    this one came, within `least` and `most`. That b is of that instant, when the score is made, is assumed [A]; in a
    call nobody waits. `period` is in seconds.
    """

    seats: int
    tail: float = 0.9
    least: float = 0.1
    most: float = 0.5
    step: float = 0.1
    decay: float = 0.9
    period: float = 30.0

    def __post_init__(self) -> None:
        if not self.seats >= 1:
            raise ValueError(f"seats must be at least 1, got {self.seats}")
        if not 0 <= self.tail < 1:
            raise ValueError(f"tail must be within [0, 1), got {self.tail}")
        if not 0 <= self.least < math.inf:
            raise ValueError(f"least must be finite and not negative, got {self.least}")
        if not self.least <= self.most < math.inf:
            raise ValueError(f"most must be finite and at least least, {self.least}, got {self.most}")
        if not 0 <= self.step < math.inf:
            raise ValueError(f"step must be finite and not negative, got {self.step}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {self.decay}")
        if not 0 < self.period < math.inf:
            raise ValueError(f"period must be positive and finite, got {self.period} s")

    def rank(self, job: Job, now: float) -> float:
        """The log of that priority, less what `now` takes from every rank alike."""
        score, waiting_since = self.score(job), job.request.arrival + job.call_seconds
        return (math.log(score) if score else -math.inf) - waiting_since / self.period * math.log(self.decay)

    def score(self, job: Job) -> float:
        """Tokens."""
        length = distribution_of(job)
        inflation = min(self.most, max(self.least, self.step * job.found / self.seats))
        return length.mean + inflation * length.tail_mean(self.tail)
