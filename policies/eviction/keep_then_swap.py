"""The KV of a job that stops stays on the device as long as there is room, then goes to the host."""

from __future__ import annotations

from dataclasses import dataclass

from policies.eviction.swap import Swap
from sim.job import Job
from sim.policy import Cause, Keep, Load


@dataclass(frozen=True, slots=True)
class KeepThenSwap(Swap):
    """Keep it for when the job runs again; under pressure do as `Swap`, as LTR's engine does."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """As `Swap` under pressure, else KEEP."""
        return Swap.on_stop(self, job, cause, load, now) if cause is Cause.PRESSURE else Keep.KEEP
