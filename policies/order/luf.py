"""Least uncertain first, a baseline of RT-LM."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.job import Job


@dataclass(frozen=True, slots=True)
class LUF:
    """Rank by ascending uncertainty score u_J, tokens."""

    horizon: float = field(default=math.inf, init=False)

    def rank(self, job: Job, now: float) -> float:
        """The uncertainty score."""
        return job.prediction.uncertainty
