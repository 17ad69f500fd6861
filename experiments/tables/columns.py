"""What a column of results is, and those of spans.parquet."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """`unit` is SI or a count; `equals` the name in vLLM's benchmark, with the factor between the two."""

    unit: str
    definition: str
    equals: str = ""


SPANS = {
    "request": Column("-", "`id` of the request"),
    "replica": Column("-", "where; of KV under way from where; empty while nobody has said where it goes"),
    "span": Column("-", "its state, in the table below"),
    "start": Column("s", "when it began: of the first the arrival, of others just the `end` of the one before"),
    "end": Column("s", "when it ended: of the last `finished`, or the `horizon` of a request that is censored"),
    "first_step": Column(
        "count",
        "the first step that began in it, of spans that run: a row of the replica's in steps.parquet, from 0; -1: none",
    ),
    "last_step": Column("count", "the last one; it has a seat in each between: who was in a batch, that is"),
}
STATES = {
    "asked": "the predictor and the router are asked, and work off who came before",
    "queued": "it waits at a replica, and nobody has stopped it there: it has just come, or a call is over",
    "prefill": "it runs: its prompt, or what a call returned, is computed",
    "recompute": "it runs: what it had computed before it was dropped is computed anew, by the first token of a step",
    "decode": "it runs, and emits",
    "preempted": "it was stopped, and waits; its KV is on the device, or dropped",
    "swapped": "it waits, and its KV is on the host or on its way, until the scheduler sees that it has come back",
    "paused": "it calls out, wherever its KV is",
    "transferred": "its KV is on its way to the replica of its next leg",
}
