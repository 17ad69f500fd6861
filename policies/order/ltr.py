"""LTR's order (arXiv 2408.15792): by score, and whoever is passed over too long goes first for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sim.job import Job
from sim.policy import ALWAYS, NotingOrder, Stands


class Turn(NamedTuple):
    """A job's steps passed over in a row, and steps left of its time at the front, as of step `at` of a replica.

    Those of a call are neither.
    """

    idle: int
    left: int
    at: int
    replica: int


@dataclass(frozen=True, slots=True)
class LTR(NotingOrder):
    """Shortest predicted answer first, by its first prediction; a score does the same, for only ranks count.

    A job that was not served in `starvation` steps in a row goes to the front, and stays there for so many steps in
    which it is served: `period`. Those at the front are in the order of their scores among each other. Without a
    `starvation` (None) it is the order of scores alone.
    """

    starvation: int | None = None
    period: int = 10

    def __post_init__(self) -> None:
        if self.starvation is not None and self.starvation < 1:
            raise ValueError(f"starvation must be at least 1 step, got {self.starvation}")
        if not self.period >= 1:
            raise ValueError(f"period must be at least 1 step, got {self.period}")

    @property
    def fixed(self) -> bool:
        """Whether nobody starves: then ranks are scores, if no class of one's own makes them others."""
        return self.starvation is None and type(self) is LTR

    def note(self, job: Job, now: float, steps: int) -> Turn | None:
        """The job's turn, after what has become of it in the steps since the last note; None if nobody starves."""
        if self.starvation is None:
            return None
        note: Turn = job.note
        if note is None or note.replica != job.replica:
            note = Turn(0, 0, steps, job.replica)
        idle, left, at, replica = note
        passed = steps - at
        if not (passed or idle):
            return note
        if job.runs:
            return Turn(0, left - passed if left > passed else 0, steps, replica)
        if job.paused is None:
            idle += passed
        if idle >= self.starvation:
            return Turn(0, self.period, steps, replica)
        return Turn(idle, left, steps, replica)

    def rank(self, job: Job, now: float) -> float | tuple[int, float]:
        """Predicted tokens; behind -1 at the front and 0 elsewhere, if anybody may starve."""
        if self.starvation is None:
            return job.prediction.length
        return -1 if job.note.left > 0 else 0, job.prediction.length

    def stands(self, job: Job, now: float) -> Stands:
        """Until the job has waited too long, or its time at the front is over."""
        if self.starvation is None:
            return ALWAYS
        idle, left = job.note[:2]
        if job.runs:
            return Stands(steps=left) if left else ALWAYS
        return ALWAYS if left else Stands(steps=self.starvation - idle)
