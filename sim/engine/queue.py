"""The jobs that wait at a replica, in rank order."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush, nsmallest

from sim.job import Job
from sim.policy import Batching, Order, Rank
from sim.step import Hold

Entry = tuple[Rank, float, int, Job]


class WaitingQueue:
    """Waiting jobs by (rank, arrival, id): the first `window` of them sorted in `front`, the others in a heap behind.

    A job comes and goes in O(log n + window). `steps` counts the steps of the replica, for which ranks may stand;
    `ranked` the ranks computed, for the overhead that is charged for them.
    """

    __slots__ = ("_heap", "_horizon", "_order", "_refreshed", "_window", "fixed", "front", "ranked", "steps")

    def __init__(self, order: Order, window: int) -> None:
        self._order = order
        self._horizon = order.horizon
        self.fixed = order.horizon == math.inf  # no rank ever changes
        self._window = window
        self._refreshed = -1  # `steps` when all ranks were last computed
        self._heap: list[Entry] = []
        self.front: list[Entry] = []  # as many as the window unless the heap is empty
        self.ranked = 0
        self.steps = 0

    def __len__(self) -> int:
        return len(self.front) + len(self._heap)

    def entry(self, job: Job, now: float) -> Entry:
        """The sort key of `job` at `now`."""
        self.ranked += 1
        request = job.request
        return (self._order.rank(job, now), request.arrival, request.id, job)

    def push(self, job: Job, now: float) -> None:
        """Let `job` wait."""
        entry = self.entry(job, now)
        front = self.front
        if len(front) < self._window:
            insort(front, entry)
        elif entry < front[-1]:
            heappush(self._heap, front.pop())
            insort(front, entry)
        else:
            heappush(self._heap, entry)

    def remove(self, job: Job) -> None:
        """Take out `job`, one of the first `window`."""
        front = self.front
        place = 0
        while front[place][3] is not job:
            place += 1
        del front[place]
        if self._heap:
            front.append(heappop(self._heap))

    @property
    def lasts(self) -> float:
        """For how many steps the ranks still stand."""
        return self._refreshed + self._horizon - self.steps

    def refresh(self, now: float) -> None:
        """Rank everybody anew, unless the ranks still stand."""
        if self.lasts > 0:
            return
        self._refreshed = self.steps
        entries = [self.entry(job, now) for *_, job in (*self.front, *self._heap)]
        self.front = nsmallest(self._window, entries)
        self._heap = [entry for entry in entries if entry > self.front[-1]]
        heapify(self._heap)

    def select(self, batching: Batching, running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """Whom `batching` selects of the first `window`; RuntimeError if it holds though jobs run, or no later."""
        if not self.fixed:
            self.refresh(now)
        chosen = batching.select(self.head(), running, now)
        if isinstance(chosen, Hold) and (running or not chosen.until > now):
            when = f"at {now} s until {chosen.until} s{' while jobs run' if running else ''}"
            raise RuntimeError(f"{type(batching).__name__} holds {when}")
        return chosen

    def head(self) -> tuple[Job, ...]:
        """The first `window` jobs."""
        front = self.front
        return (front[0][3],) if len(front) == 1 else tuple([entry[3] for entry in front])
