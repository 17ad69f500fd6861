"""How good files of LLMServingSim's sessions are made, and what a file of any bytes says: see `json_formats`."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.tracefuzz.formats import Format
from tests.tracefuzz.json_formats import LINES, text_cell
from tests.tracefuzz.reading import (
    Line,
    Reading,
    Verdict,
    count,
    far,
    from_first,
    json_lines,
    json_number,
    may_extra,
    not_negative,
    settle_order,
)
from tests.tracefuzz.sheet import Sheet, json_row, row_count
from traces.formats import llmservingsim_sessions

CALLS = ("input_toks", "output_toks", "tool_duration_ns")
SESSION = {"session_id", "arrival_time_ns", "sub_requests"}


def make_sessions(rng: Random) -> Sheet:
    time, rows = 0, []
    for number in range(row_count(rng)):
        time += rng.randrange(10**10)
        if rng.random() < 0.3:
            rows.append(json_row(input_toks=rng.randint(1, 900), output_toks=rng.randint(1, 900), arrival_time_ns=time))
            continue
        tokens, calls = rng.randint(1, 900), []
        for _ in range(rng.randint(1, 4)):
            calls.append(dict(zip(CALLS, (tokens, rng.randint(1, 300), rng.randrange(10**9)), strict=True)))
            tokens += rng.randint(1, 600)
        rows.append(json_row(session_id=f"task-{number}", arrival_time_ns=time, sub_requests=calls))
    return Sheet(rows)


def read_sessions(content: bytes, name: str) -> Reading:
    """Each session as one request that calls out."""
    found, may = json_lines(content, name)
    instants = []
    for number, (line, row) in enumerate(found, start=1):
        calls: Any = [row]
        line.values |= {"arrival": None, "request_id": f"request in line {number}"}
        instants.append(not_negative(line, "arrival", json_number(line, "arrival_time_ns", row, whole=True)))
        if type(row.get("arrival_time_ns")) is not int:
            line.worse(Verdict.BAD, "arrival_time_ns is no whole number")
        if "sub_requests" in row:
            calls, line.values["request_id"] = row["sub_requests"], text_cell(line, row, "session_id")
            may_extra(line, row, SESSION)
        if not isinstance(calls, list) or not calls or not all(isinstance(call, dict) for call in calls):
            line.worse(Verdict.BAD, "sub_requests")
            continue
        _called(line, calls, {*CALLS, "arrival_time_ns"} if calls == [row] else {*CALLS})
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 10**9)
    settle_order(lines)
    return Reading(lines, may=may or far(instants, 10**9), shifted=shifted)


def _called(line: Line, calls: list[dict[str, Any]], known: set[str]) -> None:
    """The lengths and pauses of the line, whose calls are objects."""
    pauses, emitted, end = [], 0, None
    for call in calls:
        numbers = [json_number(line, column, {column: 0, **call}, whole=True) for column in CALLS]
        prompt, output = (count(line, column, number) for column, number in zip(CALLS[:2], numbers[:2], strict=True))
        not_negative(line, CALLS[2], numbers[2])
        may_extra(line, call, known)
        if any(isinstance(call.get(column, 0), float) for column in CALLS):
            line.worse(Verdict.BAD, "a whole number with a point")
        if line.verdict is Verdict.BAD:
            return
        if pauses:
            pauses[-1][2] = max(0, prompt - end)
        emitted, end = emitted + output, prompt + output
        pauses.append([emitted, numbers[2] / 10**9, 0])
    line.values |= {"prompt_tokens": calls[0]["input_toks"], "pauses": pauses[:-1]}
    line.values["output_tokens"] = count(line, "output", emitted)


FORMATS = (Format("llmservingsim_sessions", LINES, make_sessions, read_sessions, llmservingsim_sessions.load_as_one),)
