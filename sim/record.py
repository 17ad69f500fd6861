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


class Span(IntEnum):
    """In which state a request is; the spans of one follow each other from its arrival to its end."""

    ASKED = 0  # the predictor and the router are asked, and work off who came before
    QUEUED = 1  # it waits at a replica, and nobody stopped it there: it has just come, or a call is over
    PREFILL = 2  # it runs, and its prompt, or what a call returned, is computed
    RECOMPUTE = 3  # it runs, and what it had computed before it was dropped is computed anew
    DECODE = 4  # it runs, and emits
    PREEMPTED = 5  # it was stopped, and waits: its KV is on the device, or dropped
    SWAPPED = 6  # it waits, and its KV is on the host, or on its way there or back
    PAUSED = 7  # it calls out
    TRANSFERRED = 8  # its KV is on its way to the replica of its next leg


SPAN_COLUMNS = ("request", "replica", "span", "start", "end", "first_step", "last_step")


class Record(IntEnum):
    """What is kept of a run: requests always, and beside them the steps; with these the decisions, or the spans."""

    REQUESTS = 0
    STEPS = 1
    DECISIONS = 2
    JOBS = 3


@dataclass(frozen=True, slots=True)
class Tables:
    """Columns of equal length; instants and durations in seconds, lengths in tokens, NaN for what never came.

    `decisions` are those of each step; `iterations` are the steps of all replicas, recorded or not. `rejection` says
    why the first request that could never be served was rejected. `audit` has a row for each replica and use of its KV,
    if it was asked for, `spans` one for each `Span` of a request, by id and start: `request` is the id, `first_step`
    and `last_step` count the steps of the `replica` from 0 (-1: none is made in it).
    """

    requests: Table
    steps: Table
    decisions: tuple[Decision, ...]
    iterations: int
    rejection: str = ""
    audit: Table = field(default_factory=dict)
    spans: Table = field(default_factory=dict)
