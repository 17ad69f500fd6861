"""To where the prompt's prefix is cached, unless that replica is much busier than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of

NEEDS = ("prompt_ids",)  # what a request must carry


@dataclass(frozen=True, slots=True)
class PrefixAffinity:
    """To the replica of one kind that has cached the most of the prompt; the least loaded of equals.

    A replica with more than `imbalance` jobs above the least loaded one is passed over. The idea is that of cache-aware
    routers (SGLang's among them); the rule and the default of `imbalance` are our own.
    """

    imbalance: int = 16
    kind: str = "gpu"

    def __post_init__(self) -> None:
        if self.imbalance < 0:
            raise ValueError(f"imbalance must not be negative, got {self.imbalance}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        group = replicas_of(cluster).of_kind(self.kind)
        return (Leg(group.most_cached(job, cluster[group.fewest_jobs()].jobs + self.imbalance)),)
