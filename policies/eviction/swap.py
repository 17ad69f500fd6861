"""The KV of a preempted job goes to the host."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Keep


@dataclass(frozen=True, slots=True)
class Swap:
    """Copy it to host memory and back; the profile says how long that takes."""

    def on_pressure(self, job: Job) -> Keep:
        """SWAP."""
        return Keep.SWAP
