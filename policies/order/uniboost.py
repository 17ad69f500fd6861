"""UniBoost (arXiv 2606.18431): gamma-Boost by the work that a job has had, and not by what it will take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.order.service_time import ServiceTime
from sim.job import Job
from sim.policy import FixedOrder, Stands


@dataclass(frozen=True, slots=True)
class UniBoost(FixedOrder):
    """Rank by arrival less the boost b = -ln(1 - exp(-`gamma` * work)) / `gamma` (s): what has had little goes first.

    The work (s) is that of the prompt and of the tokens that were emitted when the rank was last made: it is made anew
    when these are `first`, twice as many, and so on, so that few jobs stop. That the prompt counts from the beginning
    is assumed [A]. Needs no prediction. `gamma` (1/s) is the rate at which the tail of the response time under first
    come, first served, decays.
    """

    gamma: float
    service: ServiceTime
    first: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.gamma < math.inf:
            raise ValueError(f"gamma must be positive and finite, got {self.gamma} per s")
        if not self.first >= 1:
            raise ValueError(f"first must be at least 1 token, got {self.first}")

    def rank(self, job: Job, now: float) -> float:
        """When the job might as well have come, s; minus infinity as long as it had no work."""
        work = self.gamma * self.service.seconds(job, self._next(job) // 2 if job.emitted >= self.first else 0)
        boost = -math.log(-math.expm1(-work)) / self.gamma if work > 0 else math.inf
        return job.request.arrival + job.call_seconds - boost

    def stands(self, job: Job, now: float) -> Stands:
        """Until the rank is made anew."""
        return Stands(tokens=self._next(job) - job.emitted)

    def _next(self, job: Job) -> int:
        """After how many tokens the rank is made anew."""
        return self.first << (job.emitted // self.first).bit_length()
