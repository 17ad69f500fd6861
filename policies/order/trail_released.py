"""TRAIL's order as it was released: who waits although it should no longer have been stopped goes last."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.order.srpt import SRPT
from sim.job import Job


@dataclass(frozen=True, slots=True)
class TrailReleased(SRPT):
    """As SRPT; a waiting job that has emitted more than a `share` of its first prediction ranks behind all others.

    Only who lost its memory, or called out, can be in that place, where `batching=trail` has the same share.
    """

    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be within [0, 1], got {self.share}")

    def rank(self, job: Job, now: float) -> float:
        """Predicted tokens that are left; infinity for those."""
        late = not job.runs and job.emitted > self.share * job.prediction.length
        return math.inf if late else SRPT.rank(self, job, now)
