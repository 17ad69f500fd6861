"""What becomes of a run: its rows, collected as jobs leave and, when asked for, as steps end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.plan import Plan
from sim.engine.stretch import Stretch
from sim.job import Job
from sim.record import STEP_COLUMNS, Decision, Record, Table, Tables

NEVER: Any = math.nan  # always this one: decisions are equal if what they hold is the same, and no NaN equals another
CHUNK = 512  # finished jobs are turned into columns, and forgotten, so many at a time
_COUNTS = (
    "request.id", "request.prompt_tokens", "request.truth.output_tokens", "preemptions", "calls", "replica",
    "passes", "proposed_tokens", "moved_tokens", "dropped_tokens",
)  # fmt: skip
_NUMBERS = (
    "request.arrival", "predicted.length", "predicted.uncertainty", "predicted.seconds", "overhead_seconds",
    "longest_stop", "call_seconds", "renewed_seconds", "routing_seconds", "queued",
    "first_scheduled", "first_token", "finished",
)  # fmt: skip
_counts, _numbers = attrgetter(*_COUNTS), attrgetter(*_NUMBERS)


class Recorder:
    """Collects the rows of one run."""

    def __init__(self, record: Record, devices: Sequence[Device], left: Callable[[Job], object] | None) -> None:
        self.keeps_steps = record >= Record.STEPS
        self._keeps_decisions = record >= Record.DECISIONS
        self._tell = left
        # By replica; the last is that of a job that was sent nowhere.
        self._names = np.array([*(device.name for device in devices), ""], dtype=str)
        self._kinds = np.array([*(device.kind for device in devices), ""], dtype=str)
        self._models = np.array([*(device.model for device in devices), ""], dtype=str)
        self._left: list[Job] = []  # jobs whose life is over, not yet in a chunk
        self._chunks: list[Table] = []
        self._steps: list[tuple[Any, ...]] = []
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
            self._chunks.append(self._columns(self._left, "rejected"))
            self._left.clear()
        if self._tell is not None:
            self._tell(job)

    def steps(self, name: str, batch: Batch, plan: Plan, stretch: Stretch | None, ahead: int) -> None:
        """The steps of `plan` on replica `name` have ended, by its `stretch` if it only decodes, one after another."""
        decided, start, lockstep = plan.decided, plan.start, batch.lockstep
        context = plan.step.decode_context
        for number in range(1, plan.steps + 1):
            last = number == plan.steps
            end = plan.end if stretch is None or last else stretch.end(stretch.done + number)
            used = batch.kv.total - batch.kv.free + lockstep.growth(number - 1)
            self._step(name, batch, plan, end, used, number - 1)
            plan.decided, plan.start = plan.start if ahead else end, end
            plan.step = plan.step._replace(decode_context=context + lockstep.gain(number))
        plan.decided, plan.start = decided, start

    def _step(self, name: str, batch: Batch, plan: Plan, now: float, used: int, before: int) -> None:
        """A step of `plan`, after so many `before`, has ended at `now`, before jobs leave; `used` are blocks in use."""
        step, running, lockstep = plan.step, batch.running, batch.lockstep
        self._steps.append((
            name, now, now - plan.start, plan.overhead, step.prefill_tokens, step.decode_jobs, step.decode_context,
            step.moved_tokens, len(running), plan.waiting, used,
            len(plan.preempted),
        ))  # fmt: skip
        if self._keeps_decisions:
            decoding = [job for job in running if job.lockstep and plan.decodes]
            grants = {job: lockstep.granted(job, before) for job in decoding} | plan.grants
            granted = tuple((job.request.id, grants[job]) for job in running if job in grants)
            preempted = tuple(job.request.id for job in plan.preempted)
            self._decisions.append(Decision(name, plan.decided, plan.start if granted else NEVER, granted, preempted))

    def tables(self, iterations: int) -> Tables:
        """What was collected in so many iterations, requests by id; jobs that are still inside are `censored`."""
        chunks = [*self._chunks, self._columns(self._left, "rejected"), self._columns([*self._inside], "censored")]
        requests = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        by_id = np.argsort(requests["id"], kind="stable")
        in_time = sorted(range(len(self._steps)), key=lambda row: self._steps[row][1::-1])  # by end, then replica
        steps = zip(*(self._steps[row] for row in in_time), strict=True) if in_time else ((),) * len(STEP_COLUMNS)
        return Tables(
            {name: column[by_id] for name, column in requests.items()},
            {name: np.array(column) for name, column in zip(STEP_COLUMNS, steps, strict=True)},
            tuple(self._decisions[row] for row in in_time) if self._decisions else (),
            iterations,
            self.rejection,
        )

    def _columns(self, jobs: list[Job], unfinished: str) -> Table:
        """The request table of `jobs`; those that are not finished have the status `unfinished`."""
        counts = np.fromiter(chain.from_iterable(map(_counts, jobs)), np.int64).reshape(-1, len(_COUNTS))
        numbers = np.fromiter(chain.from_iterable(map(_numbers, jobs)), np.float64)  # None, what never came, is NaN
        numbers = numbers.reshape(-1, len(_NUMBERS))
        (
            arrival,
            predicted,
            uncertainty,
            predictor,
            overhead,
            stop,
            called,
            renewed,
            routing,
            queued,
            scheduled,
            first,
            finished,
        ) = numbers.T
        return {
            "id": counts[:, 0],
            "arrival": arrival,
            "prompt_tokens": counts[:, 1],
            "output_tokens": counts[:, 2],
            "status": np.where(np.isnan(finished), unfinished, "finished"),
            "replica": self._names[counts[:, 5]],
            "replica_kind": self._kinds[counts[:, 5]],
            "model": self._models[counts[:, 5]],
            "predicted_tokens": predicted,
            "uncertainty": uncertainty,
            "predictor_seconds": predictor,
            "overhead_seconds": np.where(np.isnan(finished), np.nan, overhead),
            "queued": queued,
            "first_scheduled": scheduled,
            "first_token": first,
            "finished": finished,
            "preemptions": counts[:, 3],
            "longest_stop": stop,
            "calls": counts[:, 4],
            "call_seconds": called,
            "renewed_seconds": renewed,
            "routing_seconds": routing,
            "passes": counts[:, 6],
            "proposed_tokens": counts[:, 7],
            "moved_tokens": counts[:, 8],
            "dropped_tokens": counts[:, 9],
        }
