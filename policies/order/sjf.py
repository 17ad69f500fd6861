"""Shortest (predicted) job first; with the oracle predictor, SJF-oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from policies.order.service_time import ServiceTime
from sim.job import Job


@dataclass(frozen=True, slots=True)
class SJF:
    """Rank by the expected seconds of service: the prompt's and the predicted output's."""

    service: ServiceTime
    horizon: float = field(default=math.inf, init=False)

    def rank(self, job: Job, now: float) -> float:
        """Expected seconds of service."""
        return self.service.seconds(job, job.prediction.length)
