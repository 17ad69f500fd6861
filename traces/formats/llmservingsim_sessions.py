"""Workloads of LLMServingSim (casys-kaist/LLMServingSim, MIT): a json object a line, a session of calls or one request.

A session is {session_id, arrival_time_ns, sub_requests: [{input_toks, output_toks, tool_duration_ns}, ...]}, a request
{input_toks, output_toks, arrival_time_ns}; each may have `input_tok_ids`, the ids of its prompt's tokens. Of its pages
(workloads, agentic sessions) and its router.py: `input_toks` is the whole prompt of a call, all that was said before
included; its simulator sends the first call of a session at `arrival_time_ns` and each other one `tool_duration_ns`
after the one before has ended, as a request of its own. The duration of the last one, and one that is left out, is 0.

It was run on made lines alone: the published file of sessions was not at hand. `output_tok_ids` are not read.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.clock import elapsed
from traces.files import RowError, field, read_json_lines
from traces.schema import LONGEST, check, is_whole

NAMES = {
    "arrival": "arrival_time_ns",
    "prompt_tokens": "input_toks",
    "output_tokens": "output_toks",
    "request_id": "session_id",
    "session": "session_id",
    "prompt_ids": "input_tok_ids",
    "pauses": "sub_requests",
}
NS = 10**9
ID_TOKENS = 16  # tokens that a made id stands for
FIRST_ID = 1 << 40  # of made ids: beyond those of any vocabulary


def load(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """Each call as a request of a session in a closed loop: it comes `think` after our answer to the one before it.

    As in their simulator, but for the contents: where a session has no token ids, which there share nothing, a prompt
    begins with all of the prompt and answer before it as far as it is long enough, and has new contents where it is
    shorter than that prompt (ids of 16 tokens). With prefix caching off that says nothing. TraceError names the line
    and value of what is wrong; `skip_bad` drops and counts bad lines instead (but not a broken file).
    """
    lines = _lines(path, skip_bad)
    ids = _Made()
    rows = [
        {"arrival": arrival, "session": name, **call, **contents, "think": think}
        for name, arrival, calls in zip(lines["session"], lines["arrival"], lines["calls"], strict=True)
        for call, contents, think in zip(calls, ids.of(calls), _thinks(calls), strict=True)
    ]
    table = pd.DataFrame(rows).drop(columns=["seconds", "ids"])
    return _checked(table, path, lines, lines["calls"].map(len).tolist())


def load_as_one(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """Each session as one request that calls out: its KV between two calls is the eviction's matter.

    The prompt is the first call's, the answer all calls', and what a tool returned is what the next prompt has beyond
    the prompt and answer before it: nothing where it has less, which `attrs["clipped"]` counts by sessions. Errors and
    `skip_bad` as of `load`.
    """
    lines = _lines(path, skip_bad)
    rows, shrunk = [], 0
    for name, arrival, calls in zip(lines["session"], lines["arrival"], lines["calls"], strict=True):
        grown = [after["prompt_tokens"] - one["prompt_tokens"] - one["output_tokens"] for one, after in pairwise(calls)]
        emitted = np.cumsum([call["output_tokens"] for call in calls]).tolist()
        shrunk += any(more < 0 for more in grown)
        each = zip(emitted, (call["seconds"] for call in calls), grown, strict=False)
        rows.append(
            {
                "arrival": arrival, "request_id": name, "prompt_tokens": calls[0]["prompt_tokens"],
                "output_tokens": emitted[-1],
                "pauses": [[before, seconds, max(more, 0)] for before, seconds, more in each],
                "prompt_ids": calls[0]["ids"] or [], "id_tokens": 1,
            }
        )  # fmt: skip
    table = _checked(pd.DataFrame(rows), path, lines, [1] * len(lines))
    table.attrs["clipped"] = shrunk
    return table


def _checked(table: pd.DataFrame, path: Path, lines: pd.DataFrame, each: list[int]) -> pd.DataFrame:
    """The table, of which line n, sound but for its order, makes `each[n]` rows."""
    if not table["prompt_ids"].map(len).any():
        table = table.drop(columns=["prompt_ids", "id_tokens"])
    table.attrs = {"skipped": lines.attrs["skipped"]}
    written = lines.loc[lines.index.repeat(each)].reset_index(drop=True)
    return check(
        table, str(path), place=lambda row: written["place"].iloc[row], names=NAMES,
        written={"arrival": written["stamp"]}, skip_bad=lines.attrs["skip_bad"],
    )  # fmt: skip


def _lines(path: Path, skip_bad: bool) -> pd.DataFrame:
    """A row for each line, none bad but for its order: session, arrival (s), its calls, and where it stands."""
    seen: set[str] = set()
    table = read_json_lines(path, lambda place, row: _line(place, row, seen), skip_bad=skip_bad)
    table = table.assign(arrival=elapsed(table["arrival"], "ns", "ns", str(path)), stamp=table["arrival"])
    table.attrs["skip_bad"] = skip_bad
    return table


def _line(place: str, row: dict[str, Any], seen: set[str]) -> dict[str, Any]:
    number = place.rsplit(" ", 1)[1]
    arrival = field(place, row, "arrival_time_ns", int)
    if arrival < 0:
        raise RowError(f"{place}: arrival_time_ns {arrival} is negative", "arrival_time_ns is negative")
    if "sub_requests" in row:
        name = field(place, row, "session_id", str)
        subs = field(place, row, "sub_requests", list)
        if not subs:
            raise RowError(f"{place}: sub_requests is empty", "sub_requests is empty")
        calls = [_call(f"{place}, sub-request {at}", sub) for at, sub in enumerate(subs, start=1)]
    else:
        name, calls = f"request in line {number}", [_call(place, row)]
    if name in seen:
        raise RowError(f"{place}: session_id {name!r} was there before", "session_id was there before")
    if len({call["ids"] is None for call in calls}) > 1:
        raise RowError(
            f"{place}: some sub-requests have input_tok_ids, some not", "some calls alone have input_tok_ids"
        )
    seen.add(name)
    return {"session": name, "arrival": arrival, "calls": calls, "place": f"line {number}"}


def _call(place: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise RowError(f"{place}: it is not an object", "a sub-request is not an object")
    lengths = {
        "prompt_tokens": field(place, row, "input_toks", int),
        "output_tokens": field(place, row, "output_toks", int),
    }
    for name, tokens in lengths.items():
        if not 1 <= tokens <= LONGEST:
            raise RowError(
                f"{place}: {NAMES[name]} {tokens} is not from 1 to {LONGEST:,}", f"{NAMES[name]} is no count"
            )
    waits = field(place, row, "tool_duration_ns", int) if "tool_duration_ns" in row else 0
    if waits < 0:
        raise RowError(f"{place}: tool_duration_ns {waits} is negative", "tool_duration_ns is negative")
    ids = field(place, row, "input_tok_ids", list) if row.get("input_tok_ids") else None
    if ids is not None and len(ids) != lengths["prompt_tokens"]:
        message = f"{place}: {len(ids)} input_tok_ids for {lengths['prompt_tokens']} input_toks"
        raise RowError(message, "input_tok_ids are not one for each token")
    if ids is not None and not all(map(is_whole, ids)):
        raise RowError(f"{place}: input_tok_ids are not whole numbers of 64 bits", "input_tok_ids are no whole numbers")
    return {**lengths, "seconds": waits / NS, "ids": ids}


def _thinks(calls: list[dict[str, Any]]) -> list[float]:
    return [np.nan, *(call["seconds"] for call in calls[:-1])]


class _Made:
    """Contents of sessions that say none: ids that no other session has."""

    def __init__(self) -> None:
        self.next_id = FIRST_ID

    def of(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """prompt_ids and id_tokens of each call."""
        if calls[0]["ids"] is not None or len(calls) == 1:
            return [{"prompt_ids": call["ids"] or [], "id_tokens": 1} for call in calls]
        found: list[dict[str, Any]] = []
        said: list[int] = []  # the ids of what was said so far that fill their 16 tokens
        before = 0
        for call in calls:
            tokens = call["prompt_tokens"]
            if tokens < before:
                said = []
            full, rest = divmod(tokens, ID_TOKENS)
            said = [*said[:full], *self._new(full - len(said))]
            found.append({"prompt_ids": [*said, *self._new(1 if rest else 0)], "id_tokens": ID_TOKENS})
            said += self._new((tokens + call["output_tokens"]) // ID_TOKENS - full)
            before = tokens
        return found

    def _new(self, count: int) -> list[int]:
        first, self.next_id = self.next_id, self.next_id + max(count, 0)
        return list(range(first, self.next_id))
