"""Shortest (predicted) job first; with the oracle predictor, SJF-oracle."""

from __future__ import annotations

from dataclasses import dataclass

from policies.order.service_time import ServiceTime
from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class SJF(FixedOrder):
    """Rank by the expected seconds of service: the prompt's and the predicted output's."""

    service: ServiceTime

    def rank(self, job: Job, now: float) -> float:
        """Expected seconds of service."""
        return self.service.seconds(job, job.prediction.length)
