"""RT-LM's strategic offloading: the most uncertain requests go to the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.routing.least_loaded import least_loaded
from sim.job import Job
from sim.policy import Leg, ReplicaView


@dataclass(frozen=True, slots=True)
class Offload:
    """To the CPU if the uncertainty score exceeds `threshold` (tau, tokens), else to the GPU.

    tau is a quantile of the uncertainty scores of the predictor's training prompts; the rule itself is our assumption.
    """

    threshold: float

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise ValueError(f"threshold must not be negative, got {self.threshold}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        return (Leg(least_loaded(cluster, "cpu" if job.prediction.uncertainty > self.threshold else "gpu")),)
