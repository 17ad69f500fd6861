"""To each replica in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.routing.least_loaded import of_kind
from sim.job import Job
from sim.policy import Leg, ReplicaView


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """To the replica of one kind that was sent the fewest jobs so far, the first of equals."""

    kind: str = "gpu"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(min(of_kind(cluster, self.kind), key=lambda index: cluster[index].submitted)),)
