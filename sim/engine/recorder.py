"""What becomes of a run: its rows, collected as jobs leave and, when asked for, as steps end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from struct import Struct, error
from typing import Any

import numpy as np

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.plan import Plan
from sim.engine.scheduler import Scheduler
from sim.engine.spans import Spans, Watch
from sim.engine.steprows import StepRows
from sim.engine.stretch import Stretch
from sim.job import Job
from sim.record import Decision, Record, Table, Tables

NEVER: Any = math.nan  # always this one: decisions are equal if what they hold is the same, and no NaN equals another
CHUNK = 512  # finished jobs are turned into numbers, and forgotten, so many at a time
COUNTS = 10  # of a row's values, the first are whole numbers, and the others seconds or tokens
VALUES = 23
_ROW = Struct(f"={COUNTS}q{VALUES - COUNTS}d")
_TYPE = np.dtype([(str(place), np.int64 if place < COUNTS else np.float64) for place in range(VALUES)])


def _row(job: Job) -> bytes:
    """What is written down of `job` (tokens, s), in the order of `Recorder._requests`; what never came is NaN."""
    request, predicted = job.request, job.predicted
    return _ROW.pack(
        request.id, request.prompt_tokens, job.true_tokens, job.preemptions, job.calls, job.replica,
        job.passes, job.proposed_tokens, job.moved_tokens, job.dropped_tokens,
        request.arrival, predicted.length, predicted.uncertainty, predicted.seconds, job.overhead_seconds,
        job.longest_stop, job.call_seconds, job.renewed_seconds, job.routing_seconds,
        math.nan if job.queued is None else job.queued,
        math.nan if job.first_scheduled is None else job.first_scheduled,
        math.nan if job.first_token is None else job.first_token,
        math.nan if job.finished is None else job.finished,
    )  # fmt: skip


class Recorder:
    """Collects the rows of one run."""

    def __init__(self, record: Record, devices: Sequence[Device], left: Callable[[Job], object] | None) -> None:
        self.keeps_steps = record >= Record.STEPS
        self._keeps_decisions = record == Record.DECISIONS
        self.spans = Spans([device.name for device in devices]) if record == Record.JOBS else None
        self._left_by = left
        self._tell = left if self.spans is None else self._end_spans
        # By replica; the last is that of a job that was sent nowhere.
        self._names = np.array([*(device.name for device in devices), ""], dtype=str)
        self._kinds = np.array([*(device.kind for device in devices), ""], dtype=str)
        self._models = np.array([*(device.model for device in devices), ""], dtype=str)
        self._left: list[Job] = []  # jobs whose life is over, not yet written down
        self._rows = 0  # that are written down
        self._columns = [np.empty(CHUNK, _TYPE[place]) for place in range(VALUES)]
        self._steps = StepRows([device.name for device in devices])
        self._decisions: list[Decision] = []
        self._inside: dict[Job, None] = {}
        self.rejection = ""  # why the first that was rejected can never be served

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Jobs that entered and have not left."""
        return tuple(self._inside)

    def enter(self, job: Job) -> None:
        """A job has arrived."""
        self._inside[job] = None

    def leave(self, job: Job) -> None:
        """A job's life is over: it finished, or was rejected."""
        del self._inside[job]
        self._left.append(job)
        if len(self._left) == CHUNK:
            self._write_down(self._left)
            self._left.clear()
        if self._tell is not None:
            self._tell(job)

    def watch(self, scheduler: Scheduler) -> Watch | None:
        """Who sees the spans that begin and end at the next replica, which has that scheduler, if they are kept."""
        return None if self.spans is None else self.spans.watch(scheduler)

    def sent(self, job: Job, now: float) -> None:
        """The KV of `job` sets out from its replica, `now` (s)."""
        if self.spans is not None:
            self.spans.sent(job, now)

    def came(self, job: Job, now: float) -> None:
        """It has come to another."""
        if self.spans is not None:
            self.spans.came(job, now)

    def _end_spans(self, job: Job) -> None:
        """The life of `job` is over: whoever else is to be told is told too."""
        assert self.spans is not None
        self.spans.left(job)
        if self._left_by is not None:
            self._left_by(job)

    def steps(self, replica: int, batch: Batch, plan: Plan, stretch: Stretch | None, ahead: int) -> None:
        """The steps of `plan` on a replica have ended, by its `stretch` if it only decodes, one after another."""
        if self.spans is not None:
            self.spans.watches[replica].carried_out(plan, ahead)
        if plan.steps == 0:
            return
        self._steps.add(replica, batch, plan, stretch)
        if not self._keeps_decisions:
            return
        decided, start = plan.decided, plan.start
        for before in range(plan.steps):
            self._decide(str(self._names[replica]), batch, plan, decided, start, before)
            end = plan.end if stretch is None else stretch.end(stretch.done + before + 1)
            decided, start = start if ahead else end, end

    def _decide(self, name: str, batch: Batch, plan: Plan, decided: float, start: float, before: int) -> None:
        """A step of `plan`, after so many `before`, was decided and begun at these instants (s); no job is gone yet."""
        running, lockstep = batch.running, batch.lockstep
        decoding = [job for job in running if job.lockstep and plan.decodes]
        grants = {job: lockstep.granted(job, before) for job in decoding} | plan.grants
        granted = tuple((job.request.id, grants[job]) for job in running if job in grants)
        preempted = tuple(job.request.id for job in plan.preempted)
        self._decisions.append(Decision(name, decided, start if granted else NEVER, granted, preempted))

    def tables(self, iterations: int, horizon: float) -> Tables:
        """What was collected in so many iterations until the `horizon` (s), requests by id.

        Jobs that are still inside are `censored`.
        """
        self._write_down(self._left)
        ended = self._rows
        self._write_down([*self._inside])
        steps, order = self._steps.table()
        return Tables(
            self._requests(ended),
            steps,
            tuple(self._decisions[row] for row in order) if self._decisions else (),
            iterations,
            self.rejection,
            spans={} if self.spans is None else self.spans.table(self._inside, horizon),
        )

    def _write_down(self, jobs: list[Job]) -> None:
        """Add the numbers of `jobs` to the columns."""
        first, self._rows = self._rows, self._rows + len(jobs)
        if self._rows > len(self._columns[0]):
            for column in self._columns:
                column.resize(max(self._rows, 2 * first), refcheck=False)  # nobody else has seen it
        try:
            rows = np.frombuffer(b"".join([_row(job) for job in jobs]), _TYPE)
        except error as reason:
            raise OverflowError(f"a number of a request takes more than 64 bits ({reason})") from reason
        for place, column in enumerate(self._columns):
            column[first : self._rows] = rows[str(place)]

    def _requests(self, ended: int) -> Table:
        """The request table: the first `ended` that were written down were rejected if they are not finished.

        A column is let go as it goes into the table, for memory's sake: there are no others.
        """
        by_id = np.argsort(self._columns[0][: self._rows], kind="stable")
        columns = [self._columns.pop(0)[: self._rows][by_id] for _ in range(len(self._columns))]
        (
            number, prompt, output, preemptions, calls, replica, passes, proposed, moved, dropped,
            arrival, predicted, uncertainty, predictor, overhead, stop, called, renewed, routing, queued,
            scheduled, first, finished,
        ) = columns  # fmt: skip
        unfinished = np.isnan(finished)
        overhead[unfinished] = np.nan
        status = np.where(unfinished, "rejected", "finished")
        status[unfinished & (by_id >= ended)] = "censored"
        return {
            "id": number,
            "arrival": arrival,
            "prompt_tokens": prompt,
            "output_tokens": output,
            "status": status,
            "replica": self._names[replica],
            "replica_kind": self._kinds[replica],
            "model": self._models[replica],
            "predicted_tokens": predicted,
            "uncertainty": uncertainty,
            "predictor_seconds": predictor,
            "overhead_seconds": overhead,
            "queued": queued,
            "first_scheduled": scheduled,
            "first_token": first,
            "finished": finished,
            "preemptions": preemptions,
            "longest_stop": stop,
            "calls": calls,
            "call_seconds": called,
            "renewed_seconds": renewed,
            "routing_seconds": routing,
            "passes": passes,
            "proposed_tokens": proposed,
            "moved_tokens": moved,
            "dropped_tokens": dropped,
        }
