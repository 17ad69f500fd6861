"""FastServe's skip-join multilevel feedback queue, as its code has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from policies.order.prefill_seconds import PrefillSeconds
from sim.job import Job
from sim.policy import NotingOrder, Stands


class Spot(NamedTuple):
    """A job's level and place in its queue: the instant (s) when it was put at the back, less than 0 at the front.

    `served` are the seconds it ran there, `ran` the instant when it last did or came, later by what calls took since,
    `steps` those of the replica `at` which (s) this was noted.
    """

    level: int
    since: float
    served: float
    ran: float
    steps: int
    at: float


@dataclass(frozen=True, slots=True)
class SkipJoinReleased(NotingOrder):
    """Rank by level, of levels without end, then by the place in its queue.

    A job comes in at the back of the first level whose quantum, `quantum` (s) times `growth`^level, its `prefill` does
    not exceed. Who ran is put at the front again; at the end of the step in which it has run longer than the quantum,
    at the front of the next level, and its time counts from 0. At every `every`-th step of the replica whoever has not
    run for `patience` (s) is put at the front of level 0. Steps between two questions count as equally long.
    """

    prefill: PrefillSeconds
    quantum: float = 0.01
    growth: float = 2.0
    patience: float = 3.0
    every: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.quantum < math.inf:
            raise ValueError(f"quantum must be positive and finite, got {self.quantum} s")
        if not 1 < self.growth < math.inf:
            raise ValueError(f"growth must be more than 1 and finite, got {self.growth}")
        if not self.patience > 0:
            raise ValueError(f"patience must be positive, got {self.patience} s")
        if not self.every >= 1:
            raise ValueError(f"every must be at least 1 step, got {self.every}")

    def note(self, job: Job, now: float, steps: int) -> Spot:
        """The job's place, after what has become of it since the last note."""
        spot: Spot | None = job.note
        if spot is None:
            return Spot(self._entry(job), now, 0.0, now, steps, now)
        if job.runs:
            return self._after_running(spot, now, steps)
        if job.paused is not None:
            return spot._replace(ran=spot.ran + (now - spot.at), steps=steps, at=now)
        looked_at = steps // self.every > spot.steps // self.every
        if looked_at and now - spot.ran >= self.patience:
            return Spot(0, -now, 0.0, spot.ran, steps, now)
        return spot._replace(steps=steps, at=now)

    def rank(self, job: Job, now: float) -> tuple[float, float]:
        """The level, and the place in it: at the front for a job that runs."""
        return job.note.level, -math.inf if job.runs else job.note.since

    def stands(self, job: Job, now: float) -> Stands:
        """Until more than the quantum is used up, or until it is looked at who has waited."""
        spot: Spot = job.note
        if not job.runs:
            return Stands(steps=self.every - spot.steps % self.every)
        end = spot.at + self.seconds(spot.level) - spot.served
        return Stands(instant=max(math.nextafter(end, math.inf), math.nextafter(now, math.inf)))

    def seconds(self, level: int) -> float:
        """The quantum of `level`, s."""
        return self.quantum * self.growth**level

    def until_promoted(self, job: Job, now: float) -> float:
        """What is left of the patience of `job`, which waits, s; it is promoted when it is looked at next."""
        spot: Spot = job.note
        return max(0.0, self.patience - (now - spot.ran))

    def _entry(self, job: Job) -> int:
        prefill, level = self.prefill.seconds(job.request.prompt_tokens), 0
        while self.seconds(level) < prefill:
            level += 1
        return level

    def _after_running(self, spot: Spot, now: float, steps: int) -> Spot:
        """Where it is when it has run since it was noted."""
        level, served, passed = spot.level, spot.served, steps - spot.steps
        step = (now - spot.at) / max(passed, 1)
        left = max(passed, 1)
        while step > 0 and (needed := max(1, math.floor((self.seconds(level) - served) / step) + 1)) <= left:
            level, served, left = level + 1, 0.0, left - needed
        return Spot(level, -now, served + left * step, now, steps, now)
