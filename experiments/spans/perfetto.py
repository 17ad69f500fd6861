"""A run as Chrome's trace events, which https://ui.perfetto.dev opens: a track for each replica and each request.

In that format [M] "X" is an event with a duration, "C" a counter, "M" says what a process or thread is called. Times
are microseconds; here with three digits, so whole nanoseconds, as which Perfetto keeps them. A span goes from its
rounded start to its rounded end: neighbours touch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

REQUESTS = 1  # the process of the requests; those of replicas follow
STEPS = 1  # the thread of a replica's steps
WAITS = ("queued", "preempted", "swapped")
RUNS = ("prefill", "recompute", "decode")
Event = dict[str, Any]


def events(requests: pd.DataFrame, spans: pd.DataFrame, steps: pd.DataFrame) -> Iterator[Event]:
    """The events of so many requests, spans and steps: names first, then what happens on each track, in time."""
    yield _name("process", "requests", REQUESTS)
    yield _place(REQUESTS, 0)
    for row in requests.itertuples():
        lengths = f"{row.prompt_tokens:,} + {row.output_tokens:,} tokens"
        yield _name("thread", f"request {row.id}: {lengths}, {row.status}", REQUESTS, int(row.id))
        yield {
            "ph": "M",
            "name": "thread_sort_index",
            "pid": REQUESTS,
            "tid": int(row.id),
            "args": {"sort_index": int(row.id)},
        }
    for row in spans.itertuples():
        args: dict[str, Any] = {"replica": row.replica}
        if row.first_step >= 0:
            args |= {"first_step": int(row.first_step), "last_step": int(row.last_step)}
        yield _spell(row.span, row.start, row.end, REQUESTS, int(row.request), args)
    replicas = dict.fromkeys([*steps["replica"], *(name for name in spans["replica"] if name)])
    for pid, replica in enumerate(replicas, REQUESTS + 1):
        yield _name("process", f"replica {replica}", pid)
        yield _place(pid, pid)
        yield _name("thread", "steps", pid, STEPS)
        own = steps[steps["replica"] == replica]
        yield from _steps(own, pid)
        if len(own) and spans.loc[spans["replica"] == replica, "end"].max() <= own["end"].iloc[-1]:
            yield _count("KV blocks", own["end"].iloc[-1], pid, 0)  # all have left
        yield from _counters(spans[spans["replica"] == replica], pid)


def dump(found: Iterator[Event]) -> str:
    """The text of a file of `found`."""
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in found)
    return f'{{"displayTimeUnit":"ms","traceEvents":[\n{lines}\n]}}\n'


def spans_in(text: str) -> pd.DataFrame:
    """The spans that a file of `dump` has, by request and start, to the nanosecond."""
    rows = [
        {
            "request": event["tid"],
            "replica": event["args"]["replica"],
            "span": event["name"],
            "start": event["ts"] / 1e6,
            "end": (event["ts"] + event["dur"]) / 1e6,
            "first_step": event["args"].get("first_step", -1),
            "last_step": event["args"].get("last_step", -1),
        }
        for event in json.loads(text)["traceEvents"]
        if event["ph"] == "X" and event["pid"] == REQUESTS
    ]
    return pd.DataFrame(rows).sort_values(["request", "start"], kind="stable", ignore_index=True)


def counts(spans: pd.DataFrame, kinds: tuple[str, ...]) -> pd.DataFrame:
    """How many requests are in a state of `kinds`, from each instant (`at`, s) at which that changes."""
    own = spans[spans["span"].isin(kinds)]
    instants = np.concatenate([own["start"], own["end"]])
    changes = np.repeat([1, -1], len(own))
    table = pd.DataFrame({"at": instants, "count": changes}).groupby("at", as_index=False).sum()
    table["count"] = table["count"].cumsum()
    return table[table["count"].diff().fillna(1) != 0]


def _steps(steps: pd.DataFrame, pid: int) -> Iterator[Event]:
    first = steps["end"] - steps["seconds"]
    for start, row in zip(first, steps.itertuples(), strict=True):
        name = " + ".join(
            said
            for count, said in (
                (row.prefill_tokens, f"prefill {row.prefill_tokens}"), (row.decode_jobs, f"decode {row.decode_jobs}")
            )
            if count
        )  # fmt: skip
        args = {
            "step": int(row.Index), "running": int(row.running), "waiting": int(row.waiting),
            "prefill_tokens": int(row.prefill_tokens), "decode_jobs": int(row.decode_jobs),
            "decode_context": int(row.decode_context), "preempted": int(row.preempted),
            "moved_tokens": int(row.moved_tokens), "overhead_seconds": float(row.overhead_seconds),
        }  # fmt: skip
        yield _spell(name or "nothing", start, row.end, pid, STEPS, args)
        yield _count("KV blocks", start, pid, int(row.blocks_used))


def _counters(spans: pd.DataFrame, pid: int) -> Iterator[Event]:
    for name, kinds in (("queue", WAITS), ("batch", RUNS)):
        for row in counts(spans, kinds).itertuples():
            yield _count(name, row.at, pid, int(row.count))


def _name(what: str, name: str, pid: int, tid: int | None = None) -> Event:
    return {
        "ph": "M",
        "name": f"{what}_name",
        "pid": pid,
        **({} if tid is None else {"tid": tid}),
        "args": {"name": name},
    }


def _place(pid: int, place: int) -> Event:
    """Where a process stands: the replicas above the requests, which are many."""
    return {"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": place or 1 << 20}}


def _spell(name: Any, start: Any, end: Any, pid: int, tid: int, args: Event) -> Event:
    since, until = _nanoseconds(start), _nanoseconds(end)
    return {
        "ph": "X",
        "name": name,
        "ts": since / 1000,
        "dur": (until - since) / 1000,
        "pid": pid,
        "tid": tid,
        "args": args,
    }


def _count(name: str, at: Any, pid: int, value: int) -> Event:
    return {"ph": "C", "name": name, "ts": _nanoseconds(at) / 1000, "pid": pid, "args": {name: value}}


def _nanoseconds(seconds: Any) -> int:
    return round(float(seconds) * 1e9)
