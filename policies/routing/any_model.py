"""Least loaded, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class AnyModel:
    """To the replica that would have the fewest jobs for what it can serve, the first of equals.

    `speeds` says how much a replica of each model can serve, in any unit; a model that it leaves out, 1. With none it
    is the replica with the fewest jobs.
    """

    speeds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if wrong := {model: speed for model, speed in self.speeds.items() if not speed > 0}:
            raise ValueError(f"speeds must be above 0, got {wrong}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        replicas, found = replicas_of(cluster), []
        for model in replicas.models:
            number = replicas.of_model(model).fewest_jobs()
            found.append(((cluster[number].jobs + 1) / self.speeds.get(model, 1.0), number))
        return (Leg(min(found)[1]),)
