"""Rows out: one for each request and, when asked for, one for each step. Metrics are functions over these tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.job import Job

if TYPE_CHECKING:
    from sim.plan import Plan
    from sim.replica import Replica

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

    `decisions` are (replica, start, ((id, tokens), ...) in the order scheduled, (preempted id, ...)) of each step.
    """

    requests: Table
    steps: Table
    decisions: tuple[Decision, ...]


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

    def step(self, replica: Replica, plan: Plan, now: float) -> None:
        """A step of `plan` has ended at `now`; the state is that before its tokens are counted and jobs leave."""
        step, name, batch = plan.step, replica.device.name, replica.batch
        self._steps.append((
            name, now, now - plan.start, plan.overhead, step.prefill_tokens, step.decode_jobs, step.decode_context,
            step.moved_tokens, len(batch.running), len(replica.waiting), batch.kv.total - batch.kv.free,
            len(plan.preempted),
        ))  # fmt: skip
        if self._keeps_decisions:
            grants = {job: 1 for job in batch.running if job.lockstep and plan.decodes} | plan.grants
            granted = tuple((job.request.id, grants[job]) for job in batch.running if job in grants)
            self._decisions.append((name, plan.start, granted, tuple(job.request.id for job in plan.preempted)))

    def tables(self) -> Tables:
        """What was collected, requests by id; jobs that are still inside are `censored`."""
        chunks = [*self._chunks, _columns(self._left, "rejected"), _columns([*self._inside], "censored")]
        requests = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        by_id = np.argsort(requests["id"], kind="stable")
        steps = zip(*self._steps, strict=True) if self._steps else ((),) * len(STEP_COLUMNS)
        return Tables(
            {name: column[by_id] for name, column in requests.items()},
            {name: np.array(column) for name, column in zip(STEP_COLUMNS, steps, strict=True)},
            tuple(self._decisions),
        )


def _columns(jobs: list[Job], unfinished: str) -> Table:
    """The request table of `jobs`; those that are not finished have the status `unfinished`."""
    nan = float("nan")
    requests, predictions = [job.request for job in jobs], [job.prediction for job in jobs]

    def instants(name: str) -> NDArray[np.float64]:
        return np.array([getattr(job, name) for job in jobs], dtype=float)  # None becomes NaN

    return {
        "id": np.array([request.id for request in requests], dtype=np.int64),
        "arrival": np.array([request.arrival for request in requests], dtype=float),
        "prompt_tokens": np.array([request.prompt_tokens for request in requests], dtype=np.int64),
        "output_tokens": np.array([request.truth.output_tokens for request in requests], dtype=np.int64),
        "status": np.array([unfinished if job.finished is None else "finished" for job in jobs], dtype=str),
        "replica": np.array(["" if job.device is None else job.device.name for job in jobs], dtype=str),
        "replica_kind": np.array(["" if job.device is None else job.device.kind for job in jobs], dtype=str),
        "predicted_tokens": np.array([prediction.length for prediction in predictions], dtype=float),
        "uncertainty": np.array([prediction.uncertainty for prediction in predictions], dtype=float),
        "predictor_seconds": np.array([prediction.seconds for prediction in predictions], dtype=float),
        "overhead_seconds": np.array([nan if job.finished is None else job.overhead_seconds for job in jobs]),
        **{name: instants(name) for name in ("queued", "first_scheduled", "first_token", "finished")},
        "preemptions": np.array([job.preemptions for job in jobs], dtype=np.int64),
    }
