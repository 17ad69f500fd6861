"""The model of a band of arrival rates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from policies.routing.least_loaded import least_loaded_of
from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class ByRate:
    """To the first of `models` above whose rate (requests/s) the cluster's is not; the last takes the rest.

    `rates` are those of all models but the last, none below the one before it. The cluster's is what came in the last
    so many `seconds`.
    """

    models: Sequence[str]
    rates: Sequence[float]
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models must differ, got {list(self.models)}")
        if len(self.rates) != len(self.models) - 1 or any(one > other for one, other in pairwise((0.0, *self.rates))):
            raise ValueError(f"rates of all models but the last, in ascending order: {self.rates} for {self.models}")
        if not self.seconds > 0:
            raise ValueError(f"seconds must be above 0, got {self.seconds}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        rate = replicas_of(cluster).all.submitted_within(self.seconds) / self.seconds
        places = [least_loaded_of(cluster, model) for model in self.models]
        return (Leg(places[bisect_right(self.rates, rate)]),)
