"""The best model that is not too busy, by its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class Threshold:
    """To the first of `models` whose replicas have on average fewer jobs than its limit; the last takes the rest.

    `limits` are those of all models but the last, in jobs a replica; `of_task` has others for the requests of a task.
    """

    models: Sequence[str]
    limits: Sequence[float]
    of_task: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models must differ, got {list(self.models)}")
        for limits in (self.limits, *self.of_task.values()):
            if len(limits) != len(self.models) - 1 or not all(limit >= 0 for limit in limits):
                raise ValueError(f"limits of all models but the last, none negative: {limits} for {self.models}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        limits = self.of_task.get(job.request.task or "", self.limits)
        groups = [replicas_of(cluster).of_model(model) for model in self.models]
        for group, limit in zip(groups, limits, strict=False):
            if group.jobs < limit * len(group.numbers):
                return (Leg(group.fewest_jobs()),)
        return (Leg(groups[-1].fewest_jobs()),)
