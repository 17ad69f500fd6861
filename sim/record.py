"""Rows out: one for each request and, when asked for, one for each step. Metrics are functions over these tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from numpy.typing import NDArray

Table = dict[str, NDArray[Any]]
Decision = tuple[str, float, tuple[tuple[int, int], ...], tuple[int, ...]]

STEP_COLUMNS = (
    "replica", "end", "seconds", "overhead_seconds", "prefill_tokens", "decode_jobs", "decode_context", "moved_tokens",
    "running", "waiting", "blocks_used", "preempted",
)  # fmt: skip


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
