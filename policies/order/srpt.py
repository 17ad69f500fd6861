"""Shortest remaining processing time."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder, Stands


@dataclass(frozen=True, slots=True)
class SRPT(FixedOrder):
    """Rank by the output tokens that are predicted to be left.

    Exact SRPT with the oracle's predictions under `batching=preemptive`, which takes a running job off for a shorter
    one; under continuous batching the rank decides who is admitted next, and whom memory pressure takes.
    """

    def stands(self, job: Job, now: float) -> Stands:
        """Until the predictor may say that more is left than it said."""
        return Stands(tokens=job.refined_at(job.emitted) - job.emitted)

    def rank(self, job: Job, now: float) -> float:
        """Predicted tokens less those emitted, or what a predictor that refines says now."""
        return job.remaining
