"""The request's own priority, as vLLM's `priority` scheduling policy takes it."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder

NEEDS = ("priority",)  # what a request must carry


@dataclass(frozen=True, slots=True)
class Priority(FixedOrder):
    """Rank by `priority`: the lower number goes first."""

    def rank(self, job: Job, now: float) -> float:
        """The priority that came with the request."""
        return job.request.priority
