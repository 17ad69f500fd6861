"""The request's own priority, as vLLM's `priority` scheduling policy takes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.job import Job

NEEDS = ("priority",)  # what a request must carry


@dataclass(frozen=True, slots=True)
class Priority:
    """Rank by `priority`: the lower number goes first."""

    horizon: float = field(default=math.inf, init=False)

    def rank(self, job: Job, now: float) -> float:
        """The priority that came with the request."""
        return job.request.priority
