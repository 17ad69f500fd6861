"""Most uncertain first, a baseline of RT-LM."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class MUF(FixedOrder):
    """Rank by descending uncertainty score u_J, tokens."""

    def rank(self, job: Job, now: float) -> float:
        """The negated uncertainty score."""
        return -job.prediction.uncertainty
