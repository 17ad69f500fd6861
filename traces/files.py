"""Read the public files: csv and json, plain or gzipped, with errors that name the file and the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from traces.schema import TraceError

FIRST_ROW = 2  # the line of a csv file's first row, after the header
SHOWN = 60  # characters of a bad line that an error shows
KINDS = {int: "a whole number", float: "a number", str: "text", list: "a list", dict: "an object"}
_GZIP = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """The whole text of the file; TraceError where it breaks off, is not UTF-8, or is not as its name says."""
    content = bytearray()
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP)) == _GZIP
    if zipped is not (path.suffix == ".gz"):
        raise TraceError(f"{path}: its name says {'plain text' if zipped else 'gzip'}, its first bytes do not")
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            while chunk := file.read(1 << 16):
                content += chunk
    except (EOFError, OSError, zlib.error) as error:
        line = content.count(b"\n") + 1
        raise TraceError(f"{path}, line {line}: the gzip file is broken: {error}") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TraceError(f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8") from error


def read_lines(path: Path) -> list[str]:
    """The lines of the file without their ends (LF or CRLF)."""
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_csv(path: Path, header: tuple[str, ...], *, skip_bad: bool = False) -> pd.DataFrame:
    """The cells of a csv file without quotes as text, under the columns of `header`, which its first line must be.

    TraceError for a row with too few or too many cells; with `skip_bad` that row's cells are all empty instead, so that
    the schema's check drops and counts it.
    """
    lines = read_lines(path)
    if not lines or tuple(lines[0].split(",")) != header:
        found = lines[0][:80] if lines else ""
        raise TraceError(f"{path}, line 1: the header is {found!r}, not {','.join(header)!r}")
    rows = [line.split(",") for line in lines[1:]]
    for at, row in enumerate(rows):
        if len(row) != len(header):
            if not skip_bad:
                shown = lines[at + 1][:SHOWN]
                raise TraceError(f"{path}, line {at + FIRST_ROW}: {shown!r} has {len(row)} fields, not {len(header)}")
            rows[at] = [""] * len(header)
    return pd.DataFrame(rows, columns=list(header), dtype=object)


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) for each line of the file; the place is for errors. TraceError for a line that is no object."""
    for number, line in enumerate(read_lines(path), start=1):
        place = f"{path}, line {number}"
        found = parse_json(place, line)
        if not isinstance(found, dict):
            raise TraceError(f"{place}: {line[:SHOWN]!r} is not an object")
        yield place, found


def parse_json(place: str, text: str) -> Any:
    """The value of a json text; TraceError says what is wrong, a name that stands twice in an object too."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(place, pairs))
    except (json.JSONDecodeError, RecursionError) as error:
        raise TraceError(f"{place}: not json: {error}") from error


def field(place: str, row: dict[str, Any], name: str, *kinds: type) -> Any:
    """`row[name]`; TraceError if it is missing, or of none of `kinds` (a truth value is not a number)."""
    if name not in row:
        raise TraceError(f"{place}: {name} is missing in {str(row)[:SHOWN]!r}")
    value = row[name]
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = " or ".join(KINDS.get(kind, kind.__name__) for kind in kinds)
        raise TraceError(f"{place}: {name} {str(value)[:SHOWN]!r} is not {wanted}")
    return value


def _object(place: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise TraceError(f"{place}: {repeated!r} stands there twice")
    return found
