"""The jobs that wait at a replica, in rank order."""

from __future__ import annotations

from bisect import bisect_left, insort

from sim.job import Job
from sim.policy import Order, Rank, is_static

Entry = tuple[Rank, float, int, Job]


class WaitingQueue:
    """Waiting jobs sorted by (rank, arrival, id).

    A static order's ranks are computed once, when a job comes; any other order's again at each `refresh`. `ranked`
    counts the ranks computed, for the overhead that is charged for them.
    """

    __slots__ = ("_entries", "_key", "_order", "_static", "ranked")

    def __init__(self, order: Order) -> None:
        self._order = order
        self._static = is_static(order)
        self._entries: list[Entry] = []
        self._key: dict[Job, Entry] = {}
        self.ranked = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, job: Job, now: float) -> Entry:
        """The sort key of `job` at `now`."""
        return (self._order.rank(job, now), job.request.arrival, job.request.id, job)

    def push(self, job: Job, now: float) -> None:
        """Let `job` wait."""
        self.ranked += 1
        entry = self._key[job] = self.entry(job, now)
        insort(self._entries, entry)

    def remove(self, job: Job) -> None:
        """Take `job` out, wherever it stands."""
        del self._entries[bisect_left(self._entries, self._key.pop(job))]

    def refresh(self, now: float) -> None:
        """Bring the order up to date."""
        if self._static or not self._entries:
            return
        self.ranked += len(self._entries)
        self._entries = sorted(self.entry(job, now) for *_, job in self._entries)
        self._key = {entry[3]: entry for entry in self._entries}

    def head(self, count: int) -> tuple[Job, ...]:
        """The first `count` jobs."""
        return tuple(entry[3] for entry in self._entries[:count])
