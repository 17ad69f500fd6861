"""The power of two choices (Mitzenmacher 2001)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class PowerOfTwo:
    """To the one with fewer jobs of two replicas of one kind, drawn at random.

    The draw is a function of `seed` and the request's id, so that a run can be repeated.
    """

    seed: int
    kind: str = "gpu"

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        candidates = replicas_of(cluster).of_kind(self.kind).numbers
        draw = random.Random(f"{self.seed}:{job.request.id}")  # text is seeded by its digest, alike in every process
        drawn = draw.sample(candidates, min(2, len(candidates)))
        return (Leg(min(drawn, key=lambda index: cluster[index].jobs)),)
