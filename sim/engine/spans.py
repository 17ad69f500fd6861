"""Spans: in which state a request is from when to when, from its arrival to its end without a gap.

A state changes where something happens: a plan is made, a prefill ends, a call ends, a job leaves. Nothing of it
happens within a leap, so that leaps stay leaps. What a plan changes holds from when its step starts, and that before it
has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.plan import Plan
from sim.engine.reached import Reached
from sim.engine.scheduler import Scheduler
from sim.job import NOWHERE, Job
from sim.record import SPAN_COLUMNS, Span, Table

CHUNK = 4096  # spans are turned into columns, and forgotten as tuples, so many at a time
ASKED, QUEUED, PREEMPTED = int(Span.ASKED), int(Span.QUEUED), int(Span.PREEMPTED)
PREFILL, RECOMPUTE, DECODE = int(Span.PREFILL), int(Span.RECOMPUTE), int(Span.DECODE)
SWAPPED, PAUSED, TRANSFERRED = int(Span.SWAPPED), int(Span.PAUSED), int(Span.TRANSFERRED)
NONE = -1  # the step of a span in which none is made


class Life:
    """The span that is open of a job: its `kind` at `replica`, since when (s), and the first step of it if it runs.

    `stopped` is whether it waits because somebody stopped it, `calls` are those that it had begun then.
    """

    __slots__ = ("calls", "first", "kind", "replica", "since", "stopped")

    def __init__(self, arrival: float) -> None:
        self.kind, self.replica, self.since, self.first = ASKED, NOWHERE, arrival, NONE
        self.stopped, self.calls = False, 0

    @property
    def runs(self) -> bool:
        """Whether it has a seat in a batch."""
        return PREFILL <= self.kind <= DECODE


class Spans:
    """Collects those of one run, on replicas of such `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = np.array([*names, ""], dtype=str)
        self._kinds = np.array([span.name.lower() for span in Span], dtype=str)
        self._rows: list[tuple[float, ...]] = []
        self._chunks: list[list[NDArray[Any]]] = []
        self.lives: dict[Job, Life] = {}
        self.watches: list[Watch] = []

    def watch(self, scheduler: Scheduler) -> Watch:
        """That of the next replica, which has that scheduler."""
        self.watches.append(watch := Watch(self, len(self.watches), scheduler))
        return watch

    def life(self, job: Job) -> Life:
        """That of `job`, which has arrived."""
        life = self.lives.get(job)
        if life is None:
            life = self.lives[job] = Life(job.request.arrival)
            if job.queued is not None:
                self.change(job, QUEUED, job.queued, job.replica)
        return life

    def change(
        self, job: Job, kind: int, at: float, replica: int, first: int = NONE, last: int = NONE, stopped: bool = False
    ) -> None:
        """From `at` (s) on `job` is in another state, from the step `first` on; the one before it had `last` at most.

        Two changes at one instant leave the later; one that is told late holds from when the last one did.
        """
        life = self.life(job)
        if kind == life.kind and replica == life.replica:
            return
        if at > life.since:
            self._add(job, life, at, last)
            life.since = at
        life.kind, life.replica, life.first, life.stopped, life.calls = kind, replica, first, stopped, job.calls

    def _add(self, job: Job, life: Life, end: float, last: int) -> None:
        first = life.first
        if not life.runs or last < first:
            first = last = NONE
        self._rows.append((job.request.id, life.replica, life.kind, life.since, end, first, last))
        if len(self._rows) == CHUNK:
            self._write_down()

    def sent(self, job: Job, now: float) -> None:
        """The KV of `job` sets out from its replica, `now` (s)."""
        self.change(job, TRANSFERRED, now, job.replica, last=self.watches[job.replica].over)

    def came(self, job: Job, now: float) -> None:
        """It has come to another."""
        self.change(job, QUEUED, now, job.replica)
        if job.paused is not None:  # it has called out meanwhile
            self.change(job, PAUSED, now, job.replica)

    def left(self, job: Job) -> None:
        """The life of `job` is over; nothing is kept of one that was rejected."""
        life = self.lives.pop(job, None)
        if job.finished is not None:
            assert life is not None  # for it was served
            watch = self.watches[job.replica]
            watch.reached.forget(job)
            if job.finished > life.since:
                self._add(job, life, job.finished, watch.over)

    def table(self, inside: Collection[Job], horizon: float) -> Table:
        """All spans, by request and start; those of the jobs that are still `inside` end at the `horizon` (s)."""
        for job in inside:
            life = self.life(job)
            begun = self.watches[life.replica].begun if life.replica != NOWHERE else NONE
            self._add(job, life, horizon, begun)
        self._write_down()
        columns = [np.concatenate(parts) for parts in zip(*self._chunks, strict=True)]
        self._chunks.clear()
        order = np.lexsort((columns[3], columns[0]))
        order = order[columns[3][order] < horizon]
        request, replica, kind, start, end, first, last = (column[order] for column in columns)
        values = (request, self._names[replica], self._kinds[kind], start, np.minimum(end, horizon), first, last)
        return dict(zip(SPAN_COLUMNS, values, strict=True))

    def _write_down(self) -> None:
        numbers = np.fromiter(chain.from_iterable(self._rows), np.float64).reshape(-1, len(SPAN_COLUMNS))
        whole = numbers.astype(np.int64)
        self._chunks.append([numbers[:, at] if at in (3, 4) else whole[:, at] for at in range(len(SPAN_COLUMNS))])
        self._rows.clear()


class Watch:
    """Sees what each plan of a replica makes of its jobs: of those alone of which it may be anything new.

    `begun` is the number of the last step that has begun, and `over` that of the last one that is over when jobs leave.
    """

    def __init__(self, spans: Spans, number: int, scheduler: Scheduler) -> None:
        self.reached = Reached()
        self.over = NONE
        self._spans, self._number = spans, number
        self._batch, self._parked, self._waiting = scheduler.batch, scheduler.parked, scheduler.waiting
        self._admissions = 0
        self._running: dict[Job, None] = {}  # those who ran when it last looked
        self._swapped: dict[Job, int] = {}  # those whose KV was on the host, or under way
        self._calling: dict[Job, None] = {}  # those that called out
        self._granted: list[tuple[Job, int, int]] = []  # by the plan before: job, tokens computed then, emitted before
        self._end = 0.0  # when that plan ended, s

    @property
    def begun(self) -> int:
        """As above."""
        return self._waiting.steps - 1

    def carried_out(self, plan: Plan, ahead: int) -> None:
        """`plan` is about to be committed."""
        self.over = self.begun - (1 if ahead and plan.steps else 0)
        self._granted = [(job, job.base_computed + new, job.base_emitted) for job, new in plan.grants.items()]
        self._end = plan.end

    def planned(self, plan: Plan | None, at: float, step: int) -> None:
        """What was decided, perhaps to do nothing, holds from `at` (s) on: number `step` is the next to begin."""
        batch = self._batch
        if self._granted:
            self._see_prefills(step)
        if self._calling or self._parked.calling:
            self._see_calls()
        if batch.admissions != self._admissions or len(batch.running) != len(self._running):
            self._see_stops(at, step)
        if self._swapped or self._parked.host.jobs:
            self._see_copies(at)
        if plan is not None:
            for job in plan.grants:
                self._see_work(job, at, step)

    def _see_prefills(self, step: int) -> None:
        """Who has emitted a token by the plan before decodes from its end on."""
        for job, computed, emitted in self._granted:
            life = self._spans.lives.get(job)
            if life is None or life.replica != self._number or not PREFILL <= life.kind < DECODE:
                continue
            if job.lockstep is None and job.base_emitted == emitted:
                self.reached.note(job, computed)
                continue
            self.reached.forget(job)
            if job not in self._batch.departing:
                self._spans.change(job, DECODE, self._end, self._number, step, step - 1)
        self._granted.clear()

    def _see_calls(self) -> None:
        spans, calling = self._spans, self._parked.calling
        for job in self._calling:
            if job.paused is None and job in spans.lives:
                assert job.resumed is not None  # its call is over
                kind = SWAPPED if job in self._parked.host.jobs else QUEUED
                spans.change(job, kind, job.resumed, self._number)
        for job in calling:
            if job.paused is not None:
                spans.change(job, PAUSED, job.paused, self._number, last=self.over)
        self._calling = calling.copy()

    def _see_stops(self, at: float, step: int) -> None:
        spans, running, lives = self._spans, self._batch.running, self._spans.lives
        for job in self._running:
            if job in running:
                continue
            life = lives.get(job)
            if life is None or life.replica != self._number or not life.runs:
                continue  # it has left, or calls out
            called = job.calls > life.calls  # for no time: it is over
            kind = SWAPPED if job in self._parked.host.jobs else QUEUED if called else PREEMPTED
            spans.change(job, kind, at, self._number, last=step - 1, stopped=not called)
        self._running, self._admissions = running.copy(), self._batch.admissions

    def _see_copies(self, at: float) -> None:
        spans, there = self._spans, self._parked.host.jobs
        for job in there:
            if job not in self._swapped:
                life = spans.life(job)
                if life.kind in (QUEUED, PREEMPTED):
                    spans.change(job, SWAPPED, at, self._number, stopped=life.stopped)
        for job in self._swapped:
            if job not in there:
                came = spans.lives.get(job)
                if came is not None and came.kind == SWAPPED and came.replica == self._number:
                    kind = PREEMPTED if came.stopped else QUEUED
                    spans.change(job, kind, at, self._number, stopped=came.stopped)
        self._swapped = there.copy()

    def _see_work(self, job: Job, at: float, step: int) -> None:
        """`job` is granted tokens from `step` on."""
        life = self._spans.life(job)
        if life.kind == DECODE and life.replica == self._number:
            return
        if self.reached.anew(job):
            kind = RECOMPUTE
        else:
            kind = DECODE if job.base_emitted and job.pending - job.padding <= 1 else PREFILL
        self._spans.change(job, kind, at, self._number, step, step - 1)
