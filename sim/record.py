"""Rows out: one for each request and, when asked for, one for each step. Metrics are functions over these tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from numpy.typing import NDArray

Table = dict[str, NDArray[Any]]

STEP_COLUMNS = (
    "replica", "end", "seconds", "overhead_seconds", "prefill_tokens", "decode_jobs", "decode_context", "moved_tokens",
    "running", "waiting", "blocks_used", "preempted",
)  # fmt: skip


AUDIT_COLUMNS = ("replica", "use", "token_seconds", "share", "held_up", "kv_tokens", "seconds")


class Use(IntEnum):
    """What a token slot of a KV cache is used for; a block that several jobs share is in the first of their uses."""

    DECODE = 0
    PREFILL = 1
    RECOMPUTE = 2  # by jobs that compute anew what they had computed before it was dropped
    TRANSFER = 3  # by jobs whose KV is being sent or comes
    WAITING = 4  # by jobs that wait with their KV kept
    PAUSED = 5  # by jobs that call out with their KV kept
    FRAGMENTATION = 6  # in blocks that jobs hold, and without a token of theirs
    FREE = 7  # in blocks that nobody holds, what a prefix cache still knows among them


class Decision(NamedTuple):
    """Who is computed in a step of `replica`: decided at one instant (s), begun at another.

    `start` is NaN if nobody was `granted` tokens, but somebody was preempted.
    """

    replica: str
    decided: float
    start: float
    granted: tuple[tuple[int, int], ...]  # (id, tokens) in the order scheduled
    preempted: tuple[int, ...]


class Record(IntEnum):
    """What is kept of a run, each with all before it."""

    REQUESTS = 0
    STEPS = 1
    DECISIONS = 2


@dataclass(frozen=True, slots=True)
class Tables:
    """Columns of equal length; instants and durations in seconds, lengths in tokens, NaN for what never came.

    `decisions` are those of each step; `iterations` are the steps of all replicas, recorded or not. `rejection` says
    why the first request that could never be served was rejected. `audit` has a row for each replica and use of its KV,
    if it was asked for.
    """

    requests: Table
    steps: Table
    decisions: tuple[Decision, ...]
    iterations: int
    rejection: str = ""
    audit: Table = field(default_factory=dict)
