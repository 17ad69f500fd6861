"""The KV of a preempted job goes to the host."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


@dataclass(frozen=True, slots=True)
class Swap(Eviction):
    """Copy it to host memory and back, which takes its time; where that is full, drop it and compute it again."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """SWAP, or DROP if the host is too full; ValueError if it has no memory at all."""
        if not load.total_on_host:
            where = "the host memory of its device is of 0 blocks"
            raise ValueError(f"{type(self).__name__} has nowhere to put {job}: {where}")
        return Keep.SWAP if job.blocks <= load.free_on_host else Keep.DROP
