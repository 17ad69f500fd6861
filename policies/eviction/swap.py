"""The KV of a preempted job goes to the host."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


@dataclass(frozen=True, slots=True)
class Swap(Eviction):
    """Copy it to host memory and back; the profile says how long that takes."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """SWAP."""
        return Keep.SWAP
