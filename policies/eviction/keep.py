"""The KV of a job that stops stays on the device as long as there is room."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


@dataclass(frozen=True, slots=True)
class Resident(Eviction):
    """Keep it for when the job runs again; under pressure drop it and compute it again."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """DROP under pressure, else KEEP."""
        return Keep.DROP if cause is Cause.PRESSURE else Keep.KEEP
