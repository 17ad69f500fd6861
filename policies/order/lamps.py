"""LAMPS's order (arXiv 2410.18248): who is predicted to take the least memory over time goes first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from policies.order.memory_time import MemoryTime
from sim.job import Job
from sim.policy import ALWAYS, Keep, NotingOrder, Stands

UNDER_WAY, FRONT, BEHIND, AWAY = -2.0, -1.0, 0.0, 1.0  # who is before whom, whatever the scores


class Place(NamedTuple):
    """A job's score, what it was said `of`, and its starvation: steps passed over in a row, steps left at the front.

    `kept`: it waits with the KV that it had before its call. As of step `at` of a replica.
    """

    score: float
    of: tuple[object, ...] | None
    kept: bool
    idle: int
    left: int
    at: int
    replica: int


@dataclass(frozen=True, slots=True)
class Lamps(NotingOrder):
    """By predicted memory over time until the answer's end, calls and the handling foreseen at the next one included.

    Who runs is never stopped for the sake of a score: those who run, and those back from a call with their KV kept, go
    first, in the order of arrival [R]. Of those that wait, who was passed over in `starvation` steps in a row is put in
    front one step later, for `quantum` steps in which it waits or runs (None: nobody is). Those that call out are the
    first whose memory is taken, the largest score at the head. All scores are made anew only in every (`skip` + 1)-th
    step of a replica, that of a newcomer at once. Calls after the next one are not counted [A].
    """

    starvation: int | None = 100
    quantum: int = 100_000
    skip: int = 0
    memory: MemoryTime = field(default_factory=MemoryTime)

    def __post_init__(self) -> None:
        if self.starvation is not None and self.starvation < 1:
            raise ValueError(f"starvation must be at least 1 step, got {self.starvation}")
        if not self.quantum >= 1:
            raise ValueError(f"quantum must be at least 1 step, got {self.quantum}")
        if not self.skip >= 0:
            raise ValueError(f"skip must not be negative, got {self.skip} steps")

    def score(self, job: Job) -> float:
        """Predicted memory over time, token-seconds."""
        prediction, emitted, blocks = job.prediction, job.emitted, self.memory.blocks
        if job.calls < len(prediction.pauses):
            at, seconds, returned = prediction.pauses[job.calls]
            at = max(at, emitted)
            before = blocks(job.given + at)
            after = blocks(max(prediction.length - at, 1.0) + returned)
            return self.memory.life(before, seconds, after, job.foreseen or Keep.KEEP)
        left = blocks(max(prediction.length - emitted, 1.0))
        if job.host_tokens:
            return self.memory.moved(blocks(job.host_tokens)) + self.memory.computed(left)
        if job.base_computed:
            return self.memory.computed(left)
        return self.memory.computed(blocks(job.given + max(prediction.length, emitted + 1.0)))

    def first(self, job: Job) -> tuple[float, tuple[object, ...] | None]:
        """The score that a newcomer has until all are made, and of what it is; None: of nothing."""
        return self.score(job), self._of(job)

    def starves(self, job: Job) -> bool:
        """Whether the steps are counted in which `job` waits."""
        return self.starvation is not None

    def note(self, job: Job, now: float, steps: int) -> Place:
        """The job's place, after what has become of it in the steps since the last note."""
        note: Place | None = job.note
        kept = job.base_computed > 0 and not job.runs
        if note is None or note.replica != job.replica:
            return Place(*self.first(job), kept, 0, 0, steps, job.replica)
        score, of, _, idle, left, at, replica = note
        passed = steps - at
        if job.paused is None:
            if job.runs:
                idle, left = 0, max(0, left - passed)
            elif self.starves(job):
                idle, left = self._waited(idle, left, passed)
        if not job.runs and of != self._of(job) and (self._due(at, steps) or (of is not None and of[0] is None)):
            score, of = self.score(job), self._of(job)
        return Place(score, of, kept, idle, left, steps, replica)

    def _due(self, at: int, steps: int) -> bool:
        """Whether all scores are made after step `at`, up to now."""
        return not self.skip or steps // (self.skip + 1) > at // (self.skip + 1)

    def _of(self, job: Job) -> tuple[object, ...]:
        """What a score depends on, but for the request: first what is foreseen, None before that is said."""
        return job.foreseen, job.calls, job.emitted, job.base_computed > 0, job.host_tokens

    def _waited(self, idle: int, left: int, steps: int) -> tuple[int, int]:
        """`idle` and `left` when so many steps more have been waited."""
        assert self.starvation is not None
        while steps:
            passed = min(steps, left or self.starvation + 1 - idle)
            steps -= passed
            if left:
                left -= passed
            else:
                idle += passed
            if idle > self.starvation:
                idle, left = 0, self.quantum
        return idle, left

    def rank(self, job: Job, now: float) -> tuple[float, float]:
        """Who runs, or has its KV still, by arrival (s); the others by score, who starves in front."""
        note: Place = job.note
        if job.paused is not None:
            return AWAY, note.score
        if job.runs or note.kept:
            return UNDER_WAY, job.request.arrival
        return FRONT if note.left else BEHIND, note.score

    def stands(self, job: Job, now: float) -> Stands:
        """Until it starves, its time in front is over, or scores are made anew, if its own is not of now."""
        note: Place = job.note
        if job.runs or note.kept or job.paused is not None:
            return ALWAYS
        steps = math.inf
        if note.left or self.starves(job):
            steps = note.left or (self.starvation or 0) + 1 - note.idle
        if note.of != self._of(job):
            steps = min(steps, self.skip + 1 - note.at % (self.skip + 1))
        return Stands(steps=steps)
