"""The jobs that wait at a replica, in rank order."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Any, Protocol

from sim.foregone import Unselective
from sim.job import Job
from sim.policy import Batching, Order
from sim.step import Hold

# Rank, arrival (s), id, job. They are told apart by identity, which a tuple whose parts have types loses, compiled.
Entry = tuple[Any, ...]


class Standing(Protocol):
    """For how many steps, and until which instant (s), all ranks stand by which somebody is refused."""

    @property
    def lasts(self) -> float: ...

    @property
    def until(self) -> float: ...


class WaitingQueue:
    """Waiting jobs by (rank, arrival, id): the first `window` of them sorted in `front`, the others in a heap behind.

    A job comes and goes in O(log n + window), and has one rank as long as it waits. `steps` counts the steps that the
    replica has begun, `ranked` the ranks computed, for the overhead that is charged for them. `until` is the instant
    until which all ranks still stand, and what was selected by them, s.
    """

    __slots__ = (
        "_batching", "_heap", "_limits", "_takes_all", "_window", "anew", "front", "moves", "notes", "order", "ranked",
        "selected_until", "steps",
    )  # fmt: skip

    def __init__(self, order: Order, batching: Batching) -> None:
        self.order = order
        self._batching = batching
        self._limits = limits(batching)
        self._takes_all = type(batching).select is Unselective.select and not self._limits
        self.moves = False  # whether ranks may change
        self.anew = type(order).stands is Order.stands  # whether they are asked for at each step
        self.notes: Callable[[Job, float, int], object] | None = None
        self._window = batching.execution.window
        self._heap: list[Entry] = []
        self.front: list[Entry] = []  # as many as the window unless nobody is behind
        self.ranked = 0
        self.steps = 0
        self.selected_until = math.inf  # as far as the batching goes

    def __len__(self) -> int:
        return len(self.front) + len(self._heap)

    def entry(self, job: Job, now: float) -> Entry:
        """The sort key of `job` at `now`."""
        self.ranked += 1
        request = job.request
        order: Any = self.order  # whose ranks may be whatever numbers can be compared
        return (order.rank(job, now), request.arrival, request.id, job)

    def known(self, job: Job, now: float) -> Entry:
        """The same of one of the first `window`, when ranks have been refreshed at `now`, if it waits still."""
        for entry in self.front:
            if entry[3] is job:
                self.ranked += 1  # as if it had been asked for
                return entry
        return self.entry(job, now)

    def worst(self, jobs: Collection[Job], now: float) -> Any:
        """The last of the ranks of `jobs` at `now`."""
        self.ranked += len(jobs)
        order: Any = self.order
        return max([order.rank(job, now) for job in jobs])

    def keys(self, jobs: Iterable[Job], now: float) -> list[Entry]:
        """The sort keys of `jobs`, whether they wait or not, at `now`."""
        return [self.entry(job, now) for job in jobs]

    def note(self, job: Job, now: float) -> None:
        """Keep what the order notes of `job` at `now`, if it takes notes."""

    def entries(self) -> Iterable[Entry]:
        """Those of all who wait, in no order."""
        return chain(self.front, self._heap)

    def push(self, job: Job, now: float) -> None:
        """Let `job` wait."""
        self._place(self.entry(job, now))

    def _place(self, entry: Entry) -> None:
        """Sort `entry` in."""
        front = self.front
        if len(front) < self._window:
            insort(front, entry)
        elif before(entry, front[-1]):
            heappush(self._heap, front.pop())
            insort(front, entry)
        else:
            heappush(self._heap, entry)

    def remove(self, job: Job, now: float) -> None:
        """Take out `job`, one of the first `window`, which begins to run."""
        front = self.front
        place = 0
        while front[place][3] is not job:
            place += 1
        del front[place]
        if self._heap:
            front.append(heappop(self._heap))

    def withdraw(self, job: Job, now: float) -> None:
        """Take out `job`, whose KV goes elsewhere, wherever it stands, if it waits."""
        if any(entry[3] is job for entry in self.front):
            self.remove(job, now)
        else:
            self._heap = [entry for entry in self._heap if entry[3] is not job]
            heapify(self._heap)

    def refresh(self, now: float) -> None:
        """Rank anew those whose ranks stand no longer."""

    def select(self, running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """Whom the batching selects of the first `window`; RuntimeError if it holds though jobs run, or no later."""
        if self.moves:
            self.refresh(now)
        shown = self.head()
        if self._takes_all:
            return shown
        chosen = self._batching.select(shown, running, now)
        if isinstance(chosen, Hold) and (running or not chosen.until > now):
            when = f"at {now} s until {chosen.until} s{' while jobs run' if running else ''}"
            raise RuntimeError(f"{type(self._batching).__name__} holds {when}")
        if self._limits:
            self._limit(now)
        return chosen

    def _limit(self, now: float) -> None:
        """For how long the answer of the batching stands."""
        self.selected_until = until = self._batching.select_stands(self.head(), now)
        if not until > now:
            raise RuntimeError(f"{type(self._batching).__name__}.select_stands: at {now} s it stands until {until} s")

    @property
    def lasts(self) -> float:
        """Steps for which all ranks still stand."""
        return math.inf

    @property
    def until(self) -> float:
        """As above."""
        return self.selected_until

    def head(self) -> tuple[Job, ...]:
        """The first `window` jobs."""
        front = self.front
        return (front[0][3],) if len(front) == 1 else tuple([entry[3] for entry in front])


def before(one: Any, other: Any) -> bool:
    """Whether the rank, or entry, `one` goes before `other`; numpy's numbers give no bool of Python's."""
    return bool(one < other)


def limits(batching: Batching) -> bool:
    """Whether its answers may stand for some time only."""
    return type(batching).select_stands is not Batching.select_stands
