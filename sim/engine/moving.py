"""Waiting jobs whose ranks move."""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from sim.engine.queue import Entry, WaitingQueue, before
from sim.job import Job
from sim.policy import ALWAYS, Batching, NotingOrder, Order

Appointments = list[tuple[float, int, Entry]]  # a heap: when the rank of an entry stands no longer


class MovingQueue(WaitingQueue):
    """A queue whose order says for how long a rank stands; each job is ranked anew when that is over, and is asked.

    What its heaps hold of a job that has gone, or has another rank now, is passed over.
    """

    __slots__ = ("_entries", "_instants", "_steps")

    def __init__(self, order: Order, batching: Batching) -> None:
        super().__init__(order, batching)
        self.moves = True
        self.notes = order.note if isinstance(order, NotingOrder) else None
        self._entries: dict[Job, Entry] = {}
        self._instants: Appointments = []
        self._steps: Appointments = []

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self, jobs: Iterable[Job], now: float) -> list[Entry]:
        if self._first(self._instants) <= now or self._first(self._steps) <= self.steps:
            return super().keys(jobs, now)
        known, charged = self._entries, self.ranked
        found = [known.get(job) or self.entry(job, now) for job in jobs]
        self.ranked = charged + len(found)  # as if each had been asked for
        return found

    def known(self, job: Job, now: float) -> Entry:
        found = self._entries.get(job)
        if found is None:
            return self.entry(job, now)
        self.ranked += 1  # as if it had been asked for
        return found

    def note(self, job: Job, now: float) -> None:
        if self.notes is not None:
            job.note = self.notes(job, now, self.steps)

    def entries(self) -> Iterable[Entry]:
        return self._entries.values()

    def push(self, job: Job, now: float) -> None:
        self._place(self._ranked(job, now, self.steps - 1))  # it comes in the midst of a step

    def _ranked(self, job: Job, now: float, steps_over: int) -> Entry:
        """The entry of `job` from now on, when so many steps are over."""
        if self.notes is not None:
            job.note = self.notes(job, now, self.steps)
        entry = self._entries[job] = self.entry(job, now)
        if self.anew:
            self._appoint(self._steps, steps_over + 1, entry)
            return entry
        stands = self.order.stands(job, now)
        if stands is ALWAYS:
            return entry
        instant, _, steps = stands  # while it waits it emits nothing
        if not (instant > now and steps >= 1):
            until = f"the rank of {job} at {now} s is to stand until {instant} s, {steps} steps"
            raise RuntimeError(f"{type(self.order).__name__}.stands: {until}")
        if instant < math.inf:
            self._appoint(self._instants, instant, entry)
        if steps < math.inf:
            self._appoint(self._steps, steps_over + steps, entry)
        return entry

    def _appoint(self, heap: Appointments, when: float, entry: Entry) -> None:
        """`entry` stands until then."""
        heappush(heap, (when, entry[2], entry))
        if len(heap) > 2 * len(self._entries) + 64:
            heap[:] = [one for one in heap if self._holds(one[2])]
            heapify(heap)

    def _holds(self, entry: Entry) -> bool:
        return self._entries.get(entry[3]) is entry

    def remove(self, job: Job, now: float) -> None:
        self._pull(job)
        del self._entries[job]
        self.note(job, now)

    def withdraw(self, job: Job, now: float) -> None:
        if job in self._entries:
            if not before(self.front[-1], self._entries[job]):
                self._pull(job)
            del self._entries[job]
            self.note(job, now)

    def _pull(self, job: Job) -> None:
        """Take `job` out of the front, and fill that up."""
        front, heap, entries = self.front, self._heap, self._entries
        front.remove(entries[job])
        while heap:
            entry = heappop(heap)
            if entries.get(entry[3]) is entry:
                front.append(entry)
                break

    def refresh(self, now: float) -> None:
        instants, steps = self._instants, self._steps
        if not ((instants and instants[0][0] <= now) or (steps and steps[0][0] <= self.steps)):
            return
        due: dict[Job, None] = {}
        self._collect(due, instants, now)
        self._collect(due, steps, self.steps)
        if 4 * len(due) > len(self._entries):
            for job in due:
                self._ranked(job, now, self.steps)
            ordered = sorted(self._entries.values())
            self.front, self._heap = ordered[: self._window], ordered[self._window :]
            return
        for job in due:
            if not before(self.front[-1], self._entries[job]):
                self._pull(job)
            self._place(self._ranked(job, now, self.steps))

    def _collect(self, due: dict[Job, None], heap: Appointments, reached: float) -> None:
        """Add to those `due` whose appointment is at `reached` or earlier."""
        while heap and heap[0][0] <= reached:
            entry = heappop(heap)[2]
            if self._holds(entry):
                due[entry[3]] = None

    def _first(self, heap: Appointments) -> float:
        """When the next appointment of `heap` is."""
        while heap and not self._holds(heap[0][2]):
            heappop(heap)
        return heap[0][0] if heap else math.inf

    @property
    def lasts(self) -> float:
        return self._first(self._steps) - self.steps

    @property
    def until(self) -> float:
        return min(self.selected_until, self._first(self._instants))


def waiting_queue(order: Order, batching: Batching) -> WaitingQueue:
    """The queue of those from whom `batching` selects, for the ranks of `order`: those that always stand, or not.

    TypeError unless its `fixed` is True or False.
    """
    asked: Any = order  # what it says is looked at before it is believed
    fixed: Any = asked.fixed
    if fixed is not True and fixed is not False:
        raise TypeError(f"{type(order).__name__}.fixed must be True or False, got {fixed!r}")
    return WaitingQueue(order, batching) if fixed else MovingQueue(order, batching)
