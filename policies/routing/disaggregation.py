"""Prefill on some devices, decode on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.routing.least_loaded import least_loaded
from sim.job import Job
from sim.policy import Leg, ReplicaView


@dataclass(frozen=True, slots=True)
class Disaggregation:
    """Two legs: the prompt on the least loaded `prefill` device, the rest on the least loaded `decode` device."""

    prefill: str = "prefill"
    decode: str = "decode"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """Prefill, then decode."""
        return (
            Leg(least_loaded(cluster, self.prefill), prefill_only=True),
            Leg(least_loaded(cluster, self.decode)),
        )
