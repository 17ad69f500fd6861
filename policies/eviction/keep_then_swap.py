"""The KV of a job that stops stays on the device as long as there is room, then goes to the host."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


@dataclass(frozen=True, slots=True)
class KeepThenSwap(Eviction):
    """Keep it for when the job runs again; under pressure copy it to host memory, as LTR's engine does."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """SWAP under pressure, else KEEP."""
        return Keep.SWAP if cause is Cause.PRESSURE else Keep.KEEP
