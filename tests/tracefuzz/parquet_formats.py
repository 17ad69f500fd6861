"""The project's own parquet files, made and read back by plain Python."""

from __future__ import annotations

import io
import json
import math
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.tracefuzz.formats import Format
from tests.tracefuzz.reading import LONGEST, LOOSE, Line, Reading, Unreadable, Verdict, count, finite, settle_order
from tests.tracefuzz.sheet import Columns, row_count
from traces import recorded
from traces.formats import parquet

KINDS = ("structural", "syntactic", "semantic", "vague", "open_ended", "multi_part")
TEXTS = ("request_id", "prompt_text", "client", "task", "session", "message_id")
COUNTS = ("prompt_tokens", "output_tokens", "max_tokens", "id_tokens")
MEASURED = ("measured_first_scheduled", "measured_first_token", "measured_finished")
OPTIONAL = ("max_tokens", *TEXTS, "priority", "deadline", "pauses", *KINDS, *MEASURED)


def stamps(kind: str, **provenance: object) -> dict[bytes, bytes]:
    return {
        b"tokenyard.schema_version": b"1",
        b"tokenyard.kind": kind.encode(),
        b"tokenyard.provenance": json.dumps(provenance).encode(),
    }


def make_trace(rng: Random) -> Columns:
    rows = row_count(rng)
    arrivals = sorted(rng.choice((0.0, rng.uniform(0, 100))) for _ in range(rows))
    prompts, outputs = ([rng.randint(1, 3000) for _ in range(rows)] for _ in range(2))
    cells: dict[str, list[Any]] = {"arrival": arrivals, "prompt_tokens": prompts, "output_tokens": outputs}
    cells |= {name: _optional(name, rng, arrivals, outputs) for name in OPTIONAL if rng.random() < 0.3}
    if "session" in cells and rng.random() < 0.5:
        cells["think"] = [rng.choice((math.nan, rng.uniform(0, 9))) for _ in arrivals]
    if rng.random() < 0.4:
        cells["id_tokens"] = [rng.choice((16, 512))] * rows
        cells["prompt_ids"] = [
            [] if rng.random() < 0.1 else [rng.randrange(2**40) for _ in range(-(-prompt // cells["id_tokens"][0]))]
            for prompt in prompts
        ]
    order = rng.sample(list(cells), len(cells))
    return Columns(
        [(name, cells[name], None) for name in order], stamps("trace", source="made"), {"write_page_checksum": True}
    )


def _optional(name: str, rng: Random, arrivals: list[float], outputs: list[int]) -> list[Any]:
    rows = len(arrivals)
    if name in TEXTS:
        return [f"{name} {number if name == 'request_id' else number % 5}" for number in range(rows)]
    if name == "max_tokens":
        return [output + rng.choice((0, 50)) for output in outputs]
    if name == "priority":
        return [rng.choice((-1.0, 0.0, 2.0)) for _ in outputs]
    if name == "deadline":
        return [rng.choice((math.nan, arrival, arrival + 10)) for arrival in arrivals]
    if name == "pauses":
        return [[[1.0, 0.25, 30.0]] if output > 1 and rng.random() < 0.5 else [] for output in outputs]
    if name in MEASURED:
        return [arrival + MEASURED.index(name) for arrival in arrivals]
    return [rng.choice((0.0, 1.0, 0.5)) for _ in outputs]


def stored_columns(content: bytes, read: tuple[str, ...] = ()) -> tuple[dict[str, list[Any]], dict[bytes, bytes], bool]:
    """(cells by column, metadata, whether a reader may refuse it) of the columns `read`, or of all."""
    try:
        file = pq.ParquetFile(io.BytesIO(content), page_checksum_verification=True)
        names = [name for name in file.schema_arrow.names if name in read or not read]
        if len(set(names)) < len(names):
            raise Unreadable("a column stands twice")
        arrow = file.read(names)
        arrow.validate(full=True)
        cells = dict(zip(arrow.column_names, (column.to_pylist() for column in arrow.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, MemoryError) as error:
        raise Unreadable(str(error)) from error
    stamps = arrow.schema.metadata or {}
    return cells, stamps, b"pandas" in stamps or not content.startswith(b"PAR1")


def stored_table(content: bytes, kind: str) -> tuple[dict[str, list[Any]], dict[str, Any], bool]:
    """(cells by column, provenance, whether a reader may refuse it); Unreadable for another version or kind."""
    cells, stamps, may = stored_columns(content)
    try:
        found = {key.decode(): value.decode() for key, value in stamps.items() if key.startswith(b"tokenyard.")}
        provenance = json.loads(found["tokenyard.provenance"])
    except (KeyError, ValueError, RecursionError) as error:
        raise Unreadable("no provenance") from error
    if found.get("tokenyard.schema_version") != "1" or found.get("tokenyard.kind") != kind:
        raise Unreadable("another version or kind")
    if not isinstance(provenance, dict):
        raise Unreadable("provenance is no object")
    return cells, provenance, may or "NaN" in found["tokenyard.provenance"]


def rows_of(cells: dict[str, list[Any]], required: tuple[str, ...], known: tuple[str, ...]) -> list[dict[str, Any]]:
    if not set(required) <= set(cells) <= set(known):
        raise Unreadable("columns")
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if not rows:
        raise Unreadable("no rows")
    return rows


def read_trace(content: bytes, name: str) -> Reading:
    cells, _, may = stored_table(content, "trace")
    required = ["arrival", "prompt_tokens", "output_tokens"]
    required += ["prompt_ids", "id_tokens"] if {"prompt_ids", "id_tokens"} & set(cells) else []
    required += ["session"] if "think" in cells else []
    rows = rows_of(cells, tuple(required), (*required, *OPTIONAL, "think"))
    lines = [_trace_line(row) for row in rows]
    settle_order(lines)
    return Reading(lines, may=may)


def _trace_line(row: dict[str, Any]) -> Line:
    line = Line()
    for name, cell in row.items():
        line.values[name] = _cell(line, name, cell)
    at = line.values
    arrival = at["arrival"]
    instants = [arrival, *(at[name] for name in MEASURED if name in at)]
    known = [one for one in instants if one is not None]
    if known != sorted(known) or (arrival is not None and arrival < 0):
        line.worse(Verdict.BAD, "times are not in order")
    if arrival is not None and at.get("deadline") is not None and at["deadline"] < arrival:
        line.worse(Verdict.BAD, "deadline is before arrival")
    if at.get("max_tokens") and at["output_tokens"] and at["output_tokens"] > at["max_tokens"]:
        line.worse(Verdict.BAD, "output is above max_tokens")
    ids, tokens, each = at.get("prompt_ids"), at["prompt_tokens"], at.get("id_tokens")
    if ids and tokens and each and len(ids) != -(-tokens // each):
        line.worse(Verdict.BAD, "number of prompt_ids")
    if at.get("pauses") and at["output_tokens"]:
        emitted = [0, *(pause[0] for pause in at["pauses"]), at["output_tokens"]]
        if any(one >= other for one, other in pairwise(emitted)):
            line.worse(Verdict.BAD, "pauses are not in order within the answer")
    return line


def _cell(line: Line, name: str, cell: Any) -> Any:
    if name in TEXTS:
        if not isinstance(cell, str):
            line.worse(Verdict.BAD, f"{name} is no text")
        return cell
    if name in ("prompt_ids", "pauses"):
        return _list(line, name, cell)
    if name in ("deadline", "think") and (cell is None or cell != cell):
        return None
    value = number(line, name, cell)
    if name in COUNTS:
        return count(line, name, value)
    if value is not None and value < 0 and (name in KINDS or name == "think"):
        line.worse(Verdict.BAD, f"{name} is negative")
    return value


def number(line: Line, name: str, cell: Any) -> float | None:
    """The number in a cell; text or a decimal that says one may be refused."""
    if isinstance(cell, str) and LOOSE.fullmatch(cell.strip()):
        line.worse(Verdict.MAY, f"{name} is a number in words")
        cell = float(cell)
    elif isinstance(cell, Decimal) and cell.is_finite():
        line.worse(Verdict.MAY, f"{name} is a decimal")
        cell = float(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        line.worse(Verdict.BAD, f"{name} {cell!r:.20} is no number")
        return None
    return finite(line, name, cell)


def _list(line: Line, name: str, cell: Any) -> list[Any]:
    def sound(one: Any) -> bool:
        if name == "prompt_ids":
            return isinstance(one, int) and not isinstance(one, bool) and one >= 0
        if not (isinstance(one, list) and len(one) == 3):
            return False
        if any(isinstance(part, bool) or not isinstance(part, int | float) for part in one):
            return False
        before, seconds, returned = one
        whole = before % 1 == 0 and returned % 1 == 0
        return whole and before > 0 and 0 <= seconds < math.inf and 0 <= returned <= LONGEST

    if not isinstance(cell, list) or not all(sound(one) for one in cell):
        line.worse(Verdict.BAD, f"{name} is no such list")
        return []
    return cell


RECORDING = ("message_id", "prompt_tokens", "output_tokens", "first_token_seconds", "seconds", "finish_reason", *KINDS)


def make_recording(rng: Random) -> Columns:
    rows = row_count(rng)
    first = [rng.uniform(0.01, 1) for _ in range(rows)]
    cells: dict[str, list[Any]] = {
        "message_id": [f"{number}#{number % 3}" for number in range(rows)],
        "prompt_tokens": [rng.randint(1, 300) for _ in range(rows)],
        "output_tokens": [rng.randint(1, 200) for _ in range(rows)],
        "first_token_seconds": first,
        "seconds": [one + rng.choice((0, rng.uniform(0, 9))) for one in first],
        "finish_reason": [rng.choice(("stop", "length")) for _ in range(rows)],
        **{kind: [rng.choice((0.0, 1.0, 2.5)) for _ in range(rows)] for kind in KINDS},
    }
    said = {"model": "m", "weights": "f16", "decoding": "greedy", "max_tokens": 200, "processor": "p", "date": "d"}
    return Columns(
        [(name, column, None) for name, column in cells.items()],
        stamps("recording", **said),
        {"write_page_checksum": True},
    )


def read_recording(content: bytes, name: str) -> Reading:
    cells, provenance, may = stored_table(content, "recording")
    rows = rows_of(cells, RECORDING, RECORDING)
    lines, seen = [], set()
    for row in rows:
        line = Line()
        for column, cell in row.items():
            if column in ("message_id", "finish_reason"):
                if not isinstance(cell, str):
                    line.worse(Verdict.BAD, f"{column} is no text")
                line.values[column] = cell
            else:
                line.values[column] = _cell(line, column, cell)
        at = line.values
        longest = count(line, "max_tokens", number(line, "max_tokens", provenance.get("max_tokens")))
        if at["output_tokens"] and longest and at["output_tokens"] > longest:
            line.worse(Verdict.BAD, "output is above max_tokens")
        first, last = at["first_token_seconds"], at["seconds"]
        if first is None or last is None or not 0 < first <= last:
            line.worse(Verdict.BAD, "seconds")
        if str(at["message_id"]) in seen:
            line.worse(Verdict.BAD, "message_id was there before")
        seen.add(str(at["message_id"]))
        lines.append(line)
    return Reading(lines, may=may)


FORMATS = (
    Format("parquet", (".parquet",), make_trace, read_trace, parquet.read),
    Format(
        "recorded", (".parquet",), make_recording, read_recording, recorded.read_recording, skips=False, described=False
    ),
)
