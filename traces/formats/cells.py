"""The cells of chosen columns of a csv file with a header, or of a file of json objects, and the lines they are on."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.files import MARK, SHOWN, RowError, begins, json_object, parse_json, unpacked
from traces.schema import SKIPPING, TraceError

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
LONGEST_CELL = 1 << 30  # characters
LISTED = 20  # columns that an error names


@dataclass(frozen=True)
class Cells:
    """`rows` of raw cells under the names they were asked for; `lines` on which each begins (of a json list, which one
    it is), from 1, and what to call those; and how many rows were `skipped` for each reason."""

    rows: pd.DataFrame
    lines: np.ndarray
    called: str
    skipped: dict[str, int]


def read_cells(
    path: Path, columns: Mapping[str, str], required: Sequence[str], separator: str | None, skip_bad: bool
) -> Cells:
    """The cells of `columns` (what they are to be called -> what the file calls them), whose `required` none may lack.

    Cells of a csv file are text; of a json file text, ints, Decimals, lists or None. TraceError for a column that the
    file does not have, with those that it has; RowError for a bad row, unless `skip_bad` drops and counts it.
    """
    if begins(path, b"PAR1"):
        raise TraceError(f"{path}: it is parquet, not csv or json: trace=parquet reads this project's own")
    text = unpacked(path).removeprefix(MARK).decode()
    if not text.strip():
        raise TraceError(f"{path}: no rows")
    if text.lstrip()[0] in "{[":
        if separator is not None:
            raise TraceError(f"{path}: trace.separator={separator!r} is of a csv file, and this one holds json")
        found = _objects(path, text, columns, required)
    else:
        found = _records(path, text, columns, required, separator)
    rows, lines, skipped = [], [], Counter[str]()
    for line, row in found:
        if isinstance(row, RowError):
            if not skip_bad:
                raise RowError(f"{row}; {SKIPPING}", row.reason)
            skipped[row.reason] += 1
        else:
            rows.append(row)
            lines.append(line)
    if not rows:
        raise TraceError(f"{path}: no rows" + (f" but {skipped.total()} bad ones" if skipped else ""))
    table = pd.DataFrame(rows, columns=pd.Index(list(columns), dtype=object), dtype=object)
    return Cells(table, np.array(lines), "row" if text.lstrip().startswith("[") else "line", dict(skipped))


Found = Iterator[tuple[int, "list[Any] | RowError"]]


def _records(
    path: Path, text: str, columns: Mapping[str, str], required: Sequence[str], separator: str | None
) -> Found:
    """Line and cells of each record of a csv file; lines without anything are passed over."""
    csv.field_size_limit(LONGEST_CELL)  # of the whole process: a cell may hold a long prompt
    first = text.lstrip("\r\n").splitlines()[0]
    mark = _separator(separator, first, columns)
    header: list[str] = []
    positions: list[int] = []
    for line, record in _parsed(path, text, mark):
        if not header:
            header = [name.strip() for name in record]
            _check_columns(path, columns, required, header)
            positions = [header.index(theirs) for theirs in columns.values()]
        elif len(record) != len(header):
            shown = mark.join(record)[:SHOWN]
            reason = f"has not {len(header)} fields"
            message = f"{path}, line {line}: {shown!r} has {len(record)} fields, not {len(header)}"
            yield line, RowError(message, reason)
        else:
            yield line, [record[at] for at in positions]


def _parsed(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which each record begins, and its fields; TraceError where quotes are wrong."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise TraceError(f"{path}, line {line}: not csv: {error}") from error


def _separator(given: str | None, header: str, columns: Mapping[str, str]) -> str:
    """The separator that is given, or else the one by which `header` has the most of `columns`, then most fields."""
    if given is not None:
        mark = SEPARATORS.get(given, given)
        if len(mark) != 1 or mark in '"\r\n':
            raise TraceError(f"trace.separator must be {', '.join(SEPARATORS)} or one character, got {given!r}")
        return mark

    def fitting(mark: str) -> tuple[int, int]:
        fields = {name.strip() for name in next(csv.reader([header], delimiter=mark), [])}
        return len(fields & set(columns.values())), len(fields)

    return max(SEPARATORS.values(), key=fitting)


def _objects(path: Path, text: str, columns: Mapping[str, str], required: Sequence[str]) -> Found:
    """Line (of a list: number) and cells of each object."""
    whole = text.lstrip().startswith("[")
    numbered: Iterable[tuple[int, Any]]
    if whole:
        numbered = enumerate(parse_json(str(path), text, Decimal), start=1)
    else:
        lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
        numbered = ((number, line) for number, line in lines if line.strip())
    known: set[str] = set()
    lacking = set(columns.values())
    wanted = {name: columns[name] for name in required if name in columns}
    unfit: TraceError | None = None
    for number, value in numbered:
        place = f"{path}, {'row' if whole else 'line'} {number}"
        try:
            row = value if whole and isinstance(value, dict) else json_object(place, value, Decimal)
            if not known:  # no sound object came yet: whether the file has the columns is open
                try:
                    _check_columns(path, wanted, required, sorted(_paths(row)))
                except TraceError as error:
                    unfit = unfit or error
                    raise RowError(str(error), "a column is missing") from error
                known = set(_paths(row))
            cells = {name: reach(row, theirs) for name, theirs in columns.items()}
            for name in required:
                if cells[name] is None:
                    raise RowError(f"{place}: {columns[name]} is missing or null", f"{columns[name]} is missing")
        except RowError as error:
            yield number, error
            continue
        known |= set(_paths(row))
        lacking -= {columns[name] for name, cell in cells.items() if cell is not None}
        yield number, list(cells.values())
    if unfit is not None and not known:
        raise unfit
    missing = {name: theirs for name, theirs in columns.items() if theirs in lacking - known}
    _check_columns(path, missing, (), sorted(known))


def reach(row: Any, name: str) -> Any:
    """What stands under `name` in a json object: under the name itself, or along its dots; None where nothing does."""
    if name in row:
        return row[name]
    for at, letter in enumerate(name):
        if letter == "." and isinstance(row.get(name[:at]), dict):
            found = reach(row[name[:at]], name[at + 1 :])
            if found is not None:
                return found
    return None


def _paths(row: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The dotted names of all that stands in a json object."""
    for name, value in row.items():
        yield before + name
        if isinstance(value, dict):
            yield from _paths(value, f"{before}{name}.")


def _check_columns(path: Path, columns: Mapping[str, str], required: Sequence[str], there: Sequence[str]) -> None:
    """TraceError for a column that is not named, or not `there`, or there twice."""
    listed = ", ".join(there[:LISTED]) + (", ..." if len(there) > LISTED else "")
    for ours in required:
        if ours not in columns:
            raise TraceError(f"{path}: trace.columns.{ours} is not given: which of its columns is it? It has {listed}")
    for ours, theirs in columns.items():
        if theirs not in there:
            plain = {name.lower(): name for name in there}
            near = get_close_matches(theirs.lower(), plain, 1) or get_close_matches(ours, plain, 1)
            hint = f", did you mean {plain[near[0]]}?" if near else ""
            raise TraceError(f"{path}: no column {theirs!r} for trace.columns.{ours}{hint}; it has {listed}")
        if list(there).count(theirs) > 1:
            raise TraceError(f"{path}: column {theirs!r} (trace.columns.{ours}) stands there twice: it has {listed}")
