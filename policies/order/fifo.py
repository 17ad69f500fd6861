"""First in, first out."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class FIFO(FixedOrder):
    """Rank by arrival."""

    def rank(self, job: Job, now: float) -> float:
        """The instant of arrival, s."""
        return job.request.arrival
