"""The KV of a preempted job is dropped."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


@dataclass(frozen=True, slots=True)
class Recompute(Eviction):
    """Drop it and compute it again, as vLLM does."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """DROP."""
        return Keep.DROP
