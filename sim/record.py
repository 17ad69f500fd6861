"""Rows out: one for each request and, when asked for, one for each step. Metrics are functions over these tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.job import Job

if TYPE_CHECKING:
    from sim.replica import Plan, Replica

Table = dict[str, NDArray[Any]]

REQUEST_COLUMNS = (
    "id", "arrival", "prompt_tokens", "output_tokens", "status", "replica", "replica_kind", "predicted_tokens",
    "uncertainty", "predictor_seconds", "overhead_seconds", "queued", "first_scheduled", "first_token", "finished",
    "preemptions",
)  # fmt: skip
STEP_COLUMNS = (
    "replica", "end", "seconds", "overhead_seconds", "prefill_tokens", "decode_jobs", "decode_context", "moved_tokens",
    "running", "waiting", "blocks_used", "preempted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """Columns of equal length; instants and durations in seconds, lengths in tokens, NaN for what never came."""

    requests: Table
    steps: Table
    decisions: tuple[tuple[str, float, tuple[tuple[int, int], ...], tuple[int, ...]], ...]


class Recorder:
    """Collects the rows of one run; `decisions` are (replica, start, ((id, tokens), ...), (preempted id, ...))."""

    def __init__(self, steps: bool, progress: Callable[[], None] | None) -> None:
        self._keep_steps = steps
        self._progress = progress
        self._requests: list[tuple[Any, ...]] = []
        self._steps: list[tuple[Any, ...]] = []
        self._decisions: list[tuple[str, float, tuple[tuple[int, int], ...], tuple[int, ...]]] = []
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
        self._requests.append(self._row(job, "finished" if job.complete else "rejected"))
        if self._progress is not None:
            self._progress()

    def _row(self, job: Job, status: str) -> tuple[Any, ...]:
        request, prediction, nan = job.request, job.prediction, float("nan")
        instants = (job.queued, job.first_scheduled, job.first_token, job.finished)
        return (
            request.id, request.arrival, request.prompt_tokens, request.truth.output_tokens, status,
            *(("", "") if job.device is None else (job.device.name, job.device.kind)), prediction.length,
            prediction.uncertainty, prediction.seconds, nan if job.finished is None else job.overhead_seconds,
            *(nan if instant is None else instant for instant in instants), job.preemptions,
        )  # fmt: skip

    def step(self, replica: Replica, plan: Plan, now: float) -> None:
        """A step has ended at `now`; the state is that before finished jobs leave."""
        if not self._keep_steps:
            return
        step = plan.step
        self._steps.append((
            replica.device.name, now, plan.seconds, plan.overhead_seconds, step.prefill_tokens, step.decode_jobs,
            step.decode_context, step.moved_tokens, len(replica.running), len(replica.waiting),
            replica.kv.total - replica.kv.free, len(plan.preempted),
        ))  # fmt: skip
        self._decisions.append((
            replica.device.name, now - plan.seconds, tuple((job.request.id, new) for job, new in plan.grants),
            tuple(job.request.id for job in plan.preempted),
        ))  # fmt: skip

    def tables(self) -> Tables:
        """What was collected, requests by id; jobs that are still inside are `censored`."""
        rows = sorted(self._requests + [self._row(job, "censored") for job in self._inside])
        return Tables(_columns(REQUEST_COLUMNS, rows), _columns(STEP_COLUMNS, self._steps), tuple(self._decisions))


def _columns(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: np.array(column) for name, column in zip(names, columns, strict=True)}
