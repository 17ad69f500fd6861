"""FastServe's proactive swapping: who is expected to run again last goes to the host, as the paper has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from policies.eviction.reserve import Reserve
from sim.job import Job


@runtime_checkable
class Levels(Protocol):
    """An order of queues one behind the other, as `MLFQ`, whose notes have a `level`."""

    def seconds(self, level: int) -> float:
        """The quantum of `level`, s."""
        ...

    def until_promoted(self, job: Job, now: float) -> float:
        """How long `job`, which waits, does before it is promoted, s from `now` on."""
        ...


@dataclass(frozen=True, slots=True)
class Proactive(Reserve):
    """As `Reserve`, but the line is the estimated next scheduled time (ENST, the paper's section 4.1), then rank.

    ENST_i = min(T_promote(i), T_execute(i)): what is left of the patience (s) after which i is promoted, and the quanta
    of the levels k, prio(j) <= k < prio(i), summed over all j of a higher priority, by `seats` at a time. Under an
    `order` without levels all jobs are at the first.
    """

    def line(self, idle: Sequence[Job], jobs: Sequence[Job], now: float) -> Sequence[Job]:
        """The `idle` ones by ENST, equal ones by rank."""
        if not isinstance(self.order, Levels):
            return idle
        promoted, execute = self.order.until_promoted, self._execute(self.order, jobs)
        return sorted(idle, key=lambda job: min(promoted(job, now), execute[job.note.level]))

    def expected(self, job: Job, jobs: Iterable[Job], now: float) -> float:
        """ENST of `job` among `jobs`, s from `now` on."""
        if not isinstance(self.order, Levels):
            return 0.0
        return min(self.order.until_promoted(job, now), self._execute(self.order, jobs)[job.note.level])

    def _execute(self, order: Levels, jobs: Iterable[Job]) -> dict[int, float]:
        """T_execute at each level where there is a job, s."""
        count = Counter(job.note.level for job in jobs)
        found, ahead, seconds, before = {}, 0, 0.0, 0
        for level in sorted(count):  # all that are ahead come down from the level before to this one
            seconds += ahead * sum(map(order.seconds, range(before, level)))
            found[level] = seconds / self.seats
            ahead, before = ahead + count[level], level
        return found
