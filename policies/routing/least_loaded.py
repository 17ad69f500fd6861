"""Who has the fewest jobs: of a device's kind, or of those that serve a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.job import Job
from sim.policy import Leg, ReplicaView


def of_kind(cluster: tuple[ReplicaView, ...], kind: str) -> list[int]:
    """The indices of the replicas of `kind`; ValueError if there is none."""
    indices = [index for index, replica in enumerate(cluster) if replica.kind == kind]
    if not indices:
        raise ValueError(f"no device of kind {kind!r} in the cluster, which has {[view.kind for view in cluster]}")
    return indices


def least_loaded(cluster: tuple[ReplicaView, ...], kind: str) -> int:
    """The index of the replica of `kind` with the fewest jobs, the first of equals; ValueError if there is none."""
    return _fewest(cluster, of_kind(cluster, kind))


def of_model(cluster: tuple[ReplicaView, ...], model: str) -> list[int]:
    """The indices of the replicas that serve `model`; ValueError if there is none."""
    indices = [index for index, replica in enumerate(cluster) if replica.model == model]
    if not indices:
        raise ValueError(f"no device serves {model!r} in the cluster, which has {[view.model for view in cluster]}")
    return indices


def least_loaded_of(cluster: tuple[ReplicaView, ...], model: str) -> int:
    """The index of the replica of `model` with the fewest jobs, the first of equals; ValueError if there is none."""
    return _fewest(cluster, of_model(cluster, model))


def _fewest(cluster: tuple[ReplicaView, ...], candidates: list[int]) -> int:
    return candidates[0] if len(candidates) == 1 else min(candidates, key=lambda index: cluster[index].jobs)


@dataclass(frozen=True, slots=True)
class LeastLoaded:
    """To the replica of one kind with the fewest jobs."""

    kind: str = "gpu"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(least_loaded(cluster, self.kind)),)
