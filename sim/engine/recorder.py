"""What becomes of a run: its rows, collected as jobs leave and, when asked for, as steps end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter

import numpy as np

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.plan import Plan
from sim.engine.steprows import StepRows
from sim.engine.stretch import Stretch
from sim.job import Job
from sim.record import Decision, Record, Table, Tables

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
            self._chunks.append(self._columns(self._left, "rejected"))
            self._left.clear()
        if self._tell is not None:
            self._tell(job)

    def steps(self, replica: int, batch: Batch, plan: Plan, stretch: Stretch | None, ahead: int) -> None:
        """The steps of `plan` on a replica have ended, by its `stretch` if it only decodes, one after another."""
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
        self._decisions.append(Decision(name, decided, start if granted else math.nan, granted, preempted))

    def tables(self, iterations: int) -> Tables:
        """What was collected in so many iterations, requests by id; jobs that are still inside are `censored`."""
        chunks = [*self._chunks, self._columns(self._left, "rejected"), self._columns([*self._inside], "censored")]
        requests = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        by_id = np.argsort(requests["id"], kind="stable")
        steps, order = self._steps.table()
        return Tables(
            {name: column[by_id] for name, column in requests.items()},
            steps,
            tuple(self._decisions[row] for row in order) if self._decisions else (),
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
