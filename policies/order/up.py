"""RT-LM's uncertainty-aware prioritization (UP)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.order.hpf import priority_point
from policies.order.service_time import ServiceTime
from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class UP(FixedOrder):
    """Rank by slack: the priority point d_J less `alpha` times the expected seconds of service e_J.

    The reading of the paper's priority as 1 / (d_J - alpha * e_J), larger first, is unverified. A positive alpha lets
    long jobs go first (least slack), a negative one short jobs (a shortest-job rule that ages); 0 is HPF.
    """

    service: ServiceTime
    alpha: float
    prompt_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("alpha", "prompt_weight"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")

    def rank(self, job: Job, now: float) -> float:
        """The slack, s, less the common `now`."""
        expected = self.service.seconds(job, job.prediction.uncertainty)
        return priority_point(job, self.service, self.prompt_weight) - self.alpha * expected
