"""Shortest predicted job first, with linear aging so that nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class Aging(FixedOrder):
    """Rank by predicted length, less `weight` tokens for each second waited; in a call nobody waits."""

    weight: float = 10.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    def rank(self, job: Job, now: float) -> float:
        """Predicted tokens, less those that waiting is worth, less what `now` takes from every rank alike."""
        return job.prediction.length + self.weight * (job.request.arrival + job.call_seconds)
