"""First in, first out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.job import Job


@dataclass(frozen=True, slots=True)
class FIFO:
    """Rank by arrival."""

    horizon: float = field(default=math.inf, init=False)

    def rank(self, job: Job, now: float) -> float:
        """The instant of arrival, s."""
        return job.request.arrival
