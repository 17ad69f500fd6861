"""Shortest predicted job first, with linear aging so that nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Order


@dataclass(frozen=True, slots=True)
class Aging(Order):
    """Rank by predicted length, less `weight` tokens for each second waited."""

    weight: float = 10.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    def rank(self, job: Job, now: float) -> float:
        """Predicted tokens, less the tokens that waiting is worth."""
        return job.prediction.length - self.weight * (now - job.request.arrival)
