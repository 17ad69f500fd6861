"""Who has the fewest jobs: of a device's kind, or of those that serve a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


def least_loaded(cluster: tuple[ReplicaView, ...], kind: str) -> int:
    """The index of the replica of `kind` with the fewest jobs, the first of equals; ValueError if there is none."""
    return replicas_of(cluster).of_kind(kind).fewest_jobs()


def least_loaded_of(cluster: tuple[ReplicaView, ...], model: str) -> int:
    """The index of the replica of `model` with the fewest jobs, the first of equals; ValueError if there is none."""
    return replicas_of(cluster).of_model(model).fewest_jobs()


@dataclass(frozen=True, slots=True)
class LeastLoaded:
    """To the replica of one kind with the fewest jobs."""

    kind: str = "gpu"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(replicas_of(cluster).of_kind(self.kind).fewest_jobs()),)
