"""TRAIL's preemption (ICLR 2025): limited, by a margin, and only for who finds the batch full."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.batching.limited import Limited
from sim.job import Job
from sim.policy import Rank, Running, Short


@dataclass(frozen=True, slots=True)
class Trail(Limited):
    """As `Limited`; the victim's rank must be worse by more than `margin`, and nobody stops more than `most` times.

    Under SRPT the margin is in tokens that are left. Only who finds no seat takes another's: so one stops for one.
    """

    margin: float = 0.0
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"margin must be finite and not negative, got {self.margin}")
        if self.most is not None and self.most < 0:
            raise ValueError(f"most must not be negative, got {self.most} preemptions")
        Limited.__post_init__(self)

    def victim(self, incoming: Job, running: Running, lacks: Short, now: float) -> Job | None:
        """The last in rank of those that may stop, if `incoming` is better by more than the margin."""
        if lacks is not Short.SEATS:
            return None
        last = Limited.victim(self, incoming, running, lacks, now)
        if last is None or not self.margin:
            return last
        return last if _number(running.rank(incoming)) + self.margin < _number(running.rank(last)) else None

    def _may_stop(self, job: Job) -> bool:
        return Limited._may_stop(self, job) and (self.most is None or job.preemptions < self.most)


def _number(rank: Rank) -> float:
    """`rank`; ValueError for several numbers, which have no margin."""
    if isinstance(rank, tuple):
        raise ValueError(f"a margin needs an order whose ranks are numbers, as srpt, got {rank}")
    return rank
