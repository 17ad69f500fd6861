"""Static serving: always the same model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.routing.least_loaded import least_loaded_of
from sim.job import Job
from sim.policy import Leg, ReplicaView


@dataclass(frozen=True, slots=True)
class OfModel:
    """To the replica of one model with the fewest jobs."""

    model: str

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(least_loaded_of(cluster, self.model)),)
