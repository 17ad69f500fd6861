"""The multilevel feedback queue: who was served long goes behind who was not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from sim.job import Job
from sim.policy import ALWAYS, NotingOrder, Stands


class Place(NamedTuple):
    """A job's level since an instant (s); at another, `at`, the seconds served there, and waited since it last ran.

    The time of a call is neither.
    """

    level: int
    since: float
    served: float
    waited: float
    at: float


@dataclass(frozen=True, slots=True)
class MLFQ(NotingOrder):
    """Rank by level, then by who came to it first. Jobs come in at level 0 and need no prediction.

    Service is the time, s, that a job runs: its share of the batch, prefill included. Level n gives `quantum` (s) times
    `growth`^n of it, then the job goes down a level, to the last of so many `levels`, where it stays. Who has waited
    `patience` (s) in one go, below level 0, begins again there; so a prefill that is computed anew should be shorter.
    """

    quantum: float = 0.1
    growth: float = 2.0
    levels: int = 8
    patience: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.quantum < math.inf:
            raise ValueError(f"quantum must be positive and finite, got {self.quantum} s")
        if not 1 <= self.growth < math.inf:
            raise ValueError(f"growth must be at least 1 and finite, got {self.growth}")
        if not self.levels >= 1:
            raise ValueError(f"levels must be at least 1, got {self.levels}")
        if not self.patience > 0:
            raise ValueError(f"patience must be positive, got {self.patience} s")

    def note(self, job: Job, now: float, steps: int) -> Place:
        """The job's place, after what has become of it since the last note."""
        level, since, served, waited, at = job.note or Place(self.entry(job), now, 0.0, 0.0, now)
        if job.paused is not None:
            return Place(level, since, served, waited, now)
        if not job.runs:
            waited += now - at
            starved = level > 0 and waited >= self.patience
            return Place(0, now, 0.0, 0.0, now) if starved else Place(level, since, served, waited, now)
        served += now - at
        while level < self.levels - 1 and served >= (enough := self.seconds(level)):
            level, since, served = self.below(level), now, served - enough
        return Place(level, since, served, 0.0, now)

    def rank(self, job: Job, now: float) -> tuple[float, float]:
        """The level, and since when (s)."""
        return job.note.level, job.note.since

    def stands(self, job: Job, now: float) -> Stands:
        """Until the quantum is used up, or patience."""
        level, _, served, waited, at = job.note
        if level == (self.levels - 1 if job.runs else 0):
            return ALWAYS
        left = self.seconds(level) - served if job.runs else self.patience - waited
        return Stands(instant=max(at + left, math.nextafter(now, math.inf)))

    def until_promoted(self, job: Job, now: float) -> float:
        """What is left of the patience of `job`, which waits, s."""
        place: Place = job.note
        return max(0.0, self.patience - place.waited - (now - place.at))

    def entry(self, job: Job) -> int:
        """The level at which `job` comes in."""
        return 0

    def below(self, level: int) -> int:
        """The level to which a job goes down that has used up its quantum at `level`."""
        return level + 1

    def seconds(self, level: int) -> float:
        """The quantum of `level`, s."""
        return self.quantum * self.growth**level
