"""To each replica in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """To the replica of one kind that was sent the fewest jobs so far, the first of equals."""

    kind: str = "gpu"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(replicas_of(cluster).of_kind(self.kind).fewest_submitted()),)
