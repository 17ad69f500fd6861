"""Preemption that spares jobs which are far enough along, as TRAIL limits it."""

from __future__ import annotations

from dataclasses import dataclass

from policies.batching.preemptive import Preemptive
from sim.job import Job
from sim.policy import Running, Short


@dataclass(frozen=True, slots=True)
class Limited(Preemptive):
    """No job stops for another once it has emitted a `share` of the length that was first predicted for it.

    With SRPT that is the shortest predicted remaining time first with limited preemption: with a share of 0 nobody ever
    stops, with 1 only who runs past its prediction is spared.
    """

    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be within [0, 1], got {self.share}")
        Preemptive.__post_init__(self)

    def victim(self, incoming: Job, running: Running, lacks: Short, now: float) -> Job | None:
        """The last in rank of those that may stop, if `incoming` ranks before it."""
        last = Preemptive.victim(self, incoming, running, lacks, now)
        if last is None or self._may_stop(last):
            return last
        may_stop = (job for job in running if self._may_stop(job))
        entries = [(running.rank(job), job.request.arrival, job.request.id, job) for job in may_stop]
        worst = max(entries, default=None)
        return worst[3] if worst is not None and running.rank(incoming) < worst[0] else None  # type: ignore[operator]

    def _may_stop(self, job: Job) -> bool:
        return job.emitted < self.share * job.prediction.length
