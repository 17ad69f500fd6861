"""First come, first served, and who has called out comes anew: vLLM's queue, whose tail a returned request joins."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import FixedOrder


@dataclass(frozen=True, slots=True)
class Tail(FixedOrder):
    """Rank by the end of the last call, or by arrival."""

    def rank(self, job: Job, now: float) -> float:
        """The instant at which it last came, s."""
        return job.request.arrival if job.resumed is None else job.resumed
