"""API-augmented requests of INFERCEPT as the MARS code base holds them (mars-repository/mars-codebase, Apache-2.0).

A request is a chain of segments, each of which generates tokens and then calls an API whose reply is put into the
context: lengths and seconds alone, no text and no arrivals.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from traces.files import RowError, field, parse_json, read_bytes, read_rows
from traces.schema import TraceError, check

COLUMNS = ["prompt_tokens_total_at_segment_start", "completion_tokens", "api_time_s", "api_return_tokens"]
EXACT = "exact(1)/chars_div_4(0)"
NAMES = {"request_id": "key", "task": "cls", "prompt_tokens": "segs", "output_tokens": "segs", "pauses": "segs"}
ROUNDING = 1  # tokens by which a segment whose lengths are characters / 4 may start beside the end of the one before it


def load(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """As `read`, without the call that some requests have after their last segment, which no answer follows."""
    return read(path, _row, skip_bad=skip_bad)


def load_with_last_calls(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """As `read`, with the call that some requests have after their last segment, and one token after it.

    The published benchmarks make that call, wait for it, and end the request with the token that comes of computing
    what it returned (`final_tput_bench_real.py`: `max_tokens` counts both).
    """
    return read(path, _row_with_last_call, skip_bad=skip_bad)


def read(path: Path, row: Callable[[str, Any], dict[str, Any]], *, skip_bad: bool) -> pd.DataFrame:
    """The requests in a json file, plain or gzipped, with their pauses; all arrive at 0, for the file has no arrivals:
    `traces.sampled.Sampled` draws some.

    The prompt is the first segment's, the answer all completions, and a pause stands between two segments. TraceError
    names the row (counted from 1) and value of what is wrong, such as a segment that does not start where the one
    before it and its call's reply end; `skip_bad` drops and counts bad rows instead (but not a broken file).
    """
    found = parse_json(str(path), read_bytes(path).decode())
    if not isinstance(found, dict) or found.get("cols") != [*COLUMNS, EXACT]:
        raise TraceError(f"{path}: it is no object whose cols are {[*COLUMNS, EXACT]}")
    data = field(str(path), found, "data", list)
    rows = ((f"{path}, row {number}", row) for number, row in enumerate(data, start=1))
    return check(read_rows(path, rows, row, skip_bad), str(path), names=NAMES, skip_bad=skip_bad)


def _row(place: str, row: Any) -> dict[str, Any]:
    found = _request(place, row)
    return {**found, "pauses": found["pauses"][:-1]}


def _row_with_last_call(place: str, row: Any) -> dict[str, Any]:
    found = _request(place, row)
    *_, (_, seconds, returned) = found["pauses"]
    if seconds == 0 and returned <= 0:
        return {**found, "pauses": found["pauses"][:-1]}
    last = [found["output_tokens"], seconds, max(returned, 0)]
    return {**found, "output_tokens": found["output_tokens"] + 1, "pauses": [*found["pauses"][:-1], last]}


def _request(place: str, row: Any) -> dict[str, Any]:
    """The row with a call after each segment."""
    if not isinstance(row, dict):
        raise RowError(f"{place}: it is not an object", "not an object")
    segments = [_segment(place, *one) for one in enumerate(field(place, row, "segs", list), start=1)]
    if not segments:
        raise RowError(f"{place}: segs is empty", "segs is empty")
    pauses, emitted, end = [], 0, segments[0][COLUMNS[0]]
    for number, segment in enumerate(segments, start=1):
        start, completion, seconds, returned = (segment[name] for name in COLUMNS)
        if abs(start - end) > (0 if segment[EXACT] else ROUNDING):
            message = f"{place}, segment {number}: {COLUMNS[0]} {start} is not the {end} tokens that are before it"
            raise RowError(message, "a segment does not start where the one before it ends")
        emitted, end = emitted + completion, start + completion + returned
        pauses.append([emitted, seconds, returned])
    return {
        "request_id": field(place, row, "key", str),
        "task": field(place, row, "cls", str),
        "arrival": 0.0,
        "prompt_tokens": segments[0][COLUMNS[0]],
        "output_tokens": emitted,
        "pauses": pauses,
    }


def _segment(place: str, number: int, cells: Any) -> dict[str, Any]:
    place = f"{place}, segment {number}"
    if not isinstance(cells, list) or len(cells) != len(COLUMNS) + 1:
        raise RowError(f"{place}: {reprlib.repr(cells)} is no list of {len(COLUMNS) + 1}", "a segment is no list of 5")
    segment = dict(zip((*COLUMNS, EXACT), cells, strict=True))
    return {name: field(place, segment, name, float if name == "api_time_s" else int) for name in segment}
