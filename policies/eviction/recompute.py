"""The KV of a preempted job is dropped."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Keep


@dataclass(frozen=True, slots=True)
class Recompute:
    """Drop it and compute it again, as vLLM does."""

    def on_pressure(self, job: Job) -> Keep:
        """DROP."""
        return Keep.DROP
