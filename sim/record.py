"""Rows out: one for each request and, when asked for, one for each step. Metrics are functions over these tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.job import Job

if TYPE_CHECKING:
    from sim.engine.batch import Batch
    from sim.engine.plan import Plan

Table = dict[str, NDArray[Any]]
Decision = tuple[str, float, tuple[tuple[int, int], ...], tuple[int, ...]]

STEP_COLUMNS = (
    "replica", "end", "seconds", "overhead_seconds", "prefill_tokens", "decode_jobs", "decode_context", "moved_tokens",
    "running", "waiting", "blocks_used", "preempted",
)  # fmt: skip
CHUNK = 512  # finished jobs are turned into columns, and forgotten, so many at a time


class Record(IntEnum):
    """What is kept of a run, each with all before it."""

    REQUESTS = 0
    STEPS = 1
    DECISIONS = 2


@dataclass(frozen=True, slots=True)
class Tables:
    """Columns of equal length; instants and durations in seconds, lengths in tokens, NaN for what never came.

    `decisions` are (replica, start, ((id, tokens), ...) in the order scheduled, (preempted id, ...)) of each step;
    `iterations` are the steps of all replicas, recorded or not. `rejection` says why the first request that could never
    be served was rejected.
    """

    requests: Table
    steps: Table
    decisions: tuple[Decision, ...]
    iterations: int
    rejection: str = ""


class Recorder:
    """Collects the rows of one run."""

    def __init__(self, record: Record, progress: Callable[[], None] | None) -> None:
        self.keeps_steps = record >= Record.STEPS
        self._keeps_decisions = record >= Record.DECISIONS
        self._progress = progress
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
            self._chunks.append(_columns(self._left, "rejected"))
            self._left.clear()
        if self._progress is not None:
            self._progress()

    def step(self, name: str, batch: Batch, plan: Plan, now: float, used: int) -> None:
        """A step of `plan` on replica `name` has ended at `now`, before jobs leave; `used` are the blocks in use."""
        step = plan.step
        self._steps.append((
            name, now, now - plan.start, plan.overhead, step.prefill_tokens, step.decode_jobs, step.decode_context,
            step.moved_tokens, len(batch.running), plan.waiting, used,
            len(plan.preempted),
        ))  # fmt: skip
        if self._keeps_decisions:
            grants = {job: 1 for job in batch.running if job.lockstep and plan.decodes} | plan.grants
            granted = tuple((job.request.id, grants[job]) for job in batch.running if job in grants)
            self._decisions.append((name, plan.start, granted, tuple(job.request.id for job in plan.preempted)))

    def tables(self, iterations: int) -> Tables:
        """What was collected in so many iterations, requests by id; jobs that are still inside are `censored`."""
        chunks = [*self._chunks, _columns(self._left, "rejected"), _columns([*self._inside], "censored")]
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


_COUNTS = ("request.id", "request.prompt_tokens", "request.truth.output_tokens", "preemptions")
_NUMBERS = (
    "request.arrival", "prediction.length", "prediction.uncertainty", "prediction.seconds", "overhead_seconds",
    "queued", "first_scheduled", "first_token", "finished",
)  # fmt: skip
_counts, _numbers = attrgetter(*_COUNTS), attrgetter(*_NUMBERS)


def _columns(jobs: list[Job], unfinished: str) -> Table:
    """The request table of `jobs`; those that are not finished have the status `unfinished`."""
    counts = np.fromiter(chain.from_iterable(map(_counts, jobs)), np.int64).reshape(-1, len(_COUNTS))
    numbers = np.fromiter(chain.from_iterable(map(_numbers, jobs)), np.float64)  # None, what never came, is NaN
    numbers = numbers.reshape(-1, len(_NUMBERS))
    arrival, predicted, uncertainty, predictor, overhead, queued, scheduled, first, finished = numbers.T
    devices = [job.device for job in jobs]
    return {
        "id": counts[:, 0],
        "arrival": arrival,
        "prompt_tokens": counts[:, 1],
        "output_tokens": counts[:, 2],
        "status": np.where(np.isnan(finished), unfinished, "finished"),
        "replica": np.array(["" if device is None else device.name for device in devices], dtype=str),
        "replica_kind": np.array(["" if device is None else device.kind for device in devices], dtype=str),
        "predicted_tokens": predicted,
        "uncertainty": uncertainty,
        "predictor_seconds": predictor,
        "overhead_seconds": np.where(np.isnan(finished), np.nan, overhead),
        "queued": queued,
        "first_scheduled": scheduled,
        "first_token": first,
        "finished": finished,
        "preemptions": counts[:, 3],
    }
