"""The jobs that wait at a replica, in rank order."""

from __future__ import annotations

from bisect import insort
from heapq import heapify, heappop, heappush, nsmallest

from sim.job import Job
from sim.policy import Order, Rank

Entry = tuple[Rank, float, int, Job]


class WaitingQueue:
    """Waiting jobs by (rank, arrival, id): the first `window` of them sorted, the others in a heap behind.

    A job comes and goes in O(log n + window). `ranked` counts the ranks computed, for the overhead that is charged.
    """

    __slots__ = ("_front", "_heap", "_order", "_window", "ranked")

    def __init__(self, order: Order, window: int) -> None:
        self._order = order
        self._window = window
        self._front: list[Entry] = []  # full unless the heap is empty
        self._heap: list[Entry] = []
        self.ranked = 0

    def __len__(self) -> int:
        return len(self._front) + len(self._heap)

    def entry(self, job: Job, now: float) -> Entry:
        """The sort key of `job` at `now`."""
        request = job.request
        return (self._order.rank(job, now), request.arrival, request.id, job)

    def push(self, job: Job, now: float) -> None:
        """Let `job` wait."""
        self.ranked += 1
        entry = self.entry(job, now)
        front = self._front
        if len(front) < self._window:
            insort(front, entry)
        elif entry < front[-1]:
            heappush(self._heap, front.pop())
            insort(front, entry)
        else:
            heappush(self._heap, entry)

    def remove(self, job: Job) -> None:
        """Take out `job`, one of the first `window`."""
        del self._front[next(place for place, entry in enumerate(self._front) if entry[3] is job)]
        if self._heap:
            self._front.append(heappop(self._heap))

    def refresh(self, now: float) -> None:
        """Rank everybody anew."""
        entries = [self.entry(job, now) for *_, job in (*self._front, *self._heap)]
        self.ranked += len(entries)
        self._front = nsmallest(self._window, entries)
        self._heap = [entry for entry in entries if entry > self._front[-1]]
        heapify(self._heap)

    def head(self) -> tuple[Job, ...]:
        """The first `window` jobs."""
        return tuple([entry[3] for entry in self._front])
