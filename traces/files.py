"""Read the public files: csv and json, plain or gzipped, with errors that name the file and the line."""

from __future__ import annotations

import gzip
import json
import math
import reprlib
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from traces.schema import SKIPPING, TraceError, is_whole

FIRST_ROW = 2  # the line of a csv file's first row, after the header
SHOWN = 60  # characters of a bad line that an error shows
KINDS = {
    int: "a whole number of 64 bits",  # with a sign or without one
    float: "a finite number of 64 bits",
    str: "text",
    list: "a list",
    dict: "an object",
}
Row = TypeVar("Row")
_GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"
_BLOCK = 1 << 24  # bytes of a csv file that are parsed at once: a line may not be longer


class RowError(TraceError):
    """A row that cannot be used; `reason` has neither place nor value, so that such rows can be counted."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_bytes(path: Path) -> bytes:
    """The whole file, unzipped; TraceError where it breaks off, is not text in UTF-8, or is not as its name says."""
    if begins(path, _GZIP) is not (path.suffix == ".gz"):
        kind = "gzip" if path.suffix == ".gz" else "plain text"
        raise TraceError(f"{path}: its name says {kind}, its first bytes do not")
    content = unpacked(path)
    if content.startswith(MARK):
        raise TraceError(f"{path}, line 1: it begins with a byte order mark")
    return content


def begins(path: Path, mark: bytes) -> bool:
    """Whether `mark` is what the file's first bytes are."""
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def unpacked(path: Path) -> bytes:
    """The text in the file, whatever its name; TraceError where it breaks off, or is not text in UTF-8."""
    content = bytearray()
    zipped = begins(path, _GZIP)
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            while chunk := file.read(1 << 16):
                content += chunk
    except (EOFError, OSError, zlib.error) as error:
        line = content.count(b"\n") + 1
        raise TraceError(f"{path}, line {line}: the gzip file is broken: {error}") from error
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TraceError(f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8") from error
    if (at := content.find(0)) >= 0:
        raise TraceError(f"{path}, line {content.count(10, 0, at) + 1}: byte 0x00 is not text")
    return bytes(content)


def read_csv(path: Path, *headers: tuple[str, ...], skip_bad: bool = False) -> pd.DataFrame:
    """The cells of a csv file without quotes as text, under the one of `headers` that its first line is.

    RowError for a row with too few or too many cells; `skip_bad` drops it and counts it in `attrs["skipped"]`.
    """
    content = read_bytes(path)
    first = content.split(b"\n", 1)[0].decode().removesuffix("\r")
    header = tuple(first.split(","))
    if header not in headers:
        wanted = " or ".join(repr(",".join(one)) for one in headers)
        raise TraceError(f"{path}, line 1: the header is {first[:80]!r}, not {wanted}")
    wrong: list[csv.InvalidRow] = []

    def leave_out(row: csv.InvalidRow) -> str:
        wrong.append(row)
        return "skip"

    read = csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=header, skip_rows=1)
    parse = csv.ParseOptions(quote_char=False, ignore_empty_lines=False, invalid_row_handler=leave_out)
    convert = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    try:
        cells = csv.read_csv(pa.BufferReader(content.removesuffix(b"\n") + b"\n"), read, parse, convert)
    except pa.ArrowInvalid as error:
        raise TraceError(f"{path}: {error}") from error
    reason = f"has not {len(header)} fields"
    if wrong and not skip_bad:
        row = wrong[0]
        fields = f"{row.text[:SHOWN]!r} has {row.actual_columns} fields, not {len(header)}"
        raise RowError(f"{path}, line {row.number}: {fields}; {SKIPPING}", reason)
    table: pd.DataFrame = cells.to_pandas()
    table.attrs["skipped"] = {reason: len(wrong)} if wrong else {}
    return table


def read_json_lines(
    path: Path, read: Callable[[str, dict[str, Any]], dict[str, Any]], *, skip_bad: bool = False
) -> pd.DataFrame:
    """A row of `read(place, object)` for each line of the file, which is an object; the place is for errors.

    RowError for a line that is no object, and what `read` raises; `skip_bad` as in `read_rows`.
    """
    lines = read_bytes(path).decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    rows = ((f"{path}, line {number}", line) for number, line in enumerate(lines, start=1))
    return read_rows(
        path, rows if lines != [""] else (), lambda place, line: read(place, json_object(place, line)), skip_bad
    )


def read_rows(
    path: Path, rows: Iterable[tuple[str, Row]], read: Callable[[str, Row], dict[str, Any]], skip_bad: bool
) -> pd.DataFrame:
    """A table of `read(place, row)` for each; `skip_bad` drops rows of a RowError, counted in `attrs["skipped"]`."""
    found, skipped = [], Counter[str]()
    for place, row in rows:
        try:
            found.append(read(place, row))
        except RowError as error:
            if not skip_bad:
                raise RowError(f"{error}; {SKIPPING}", error.reason) from error
            skipped[error.reason] += 1
    if not found:
        raise TraceError(f"{path}: no rows" + (f" but {skipped.total()} bad ones" if skipped else ""))
    table = pd.DataFrame(found, dtype=object)
    table.attrs["skipped"] = dict(skipped)
    return table


def parse_json(place: str, text: str, parse_float: Callable[[str], Any] = float) -> Any:
    """The value of a json text; RowError says what is wrong, a name that stands twice in an object too."""
    try:
        return json.loads(text, parse_float=parse_float, object_pairs_hook=lambda pairs: _object(place, pairs))
    except RowError:
        raise
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError
        raise RowError(f"{place}: not json: {error}", "not json") from error


def field(place: str, row: dict[str, Any], name: str, kind: type) -> Any:
    """`row[name]`; RowError if it is missing or not of `kind`: a whole number is a float too, a truth value is neither.

    No whole number has more than 64 bits, and no text half a character (a lone surrogate), which json can express.
    """
    if name not in row:
        raise RowError(f"{place}: {name} is missing in {reprlib.repr(row)}", f"{name} is missing")
    value = row[name]
    if not isinstance(value, (float, int) if kind is float else kind) or not is_sound(value):
        raise RowError(f"{place}: {name} {reprlib.repr(value)} is not {KINDS[kind]}", f"{name} is not {KINDS[kind]}")
    return value


def json_object(place: str, line: Any, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The object in a line of text; RowError where it is none."""
    found = parse_json(place, line, parse_float) if isinstance(line, str) else line
    if not isinstance(found, dict):
        raise RowError(f"{place}: {str(line)[:SHOWN]!r} is not an object", "not an object")
    return found


def is_sound(value: Any) -> bool:
    """Whether a json value can be stored: text without half a character, a finite number, a whole one of 64 bits."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, bool) and (not isinstance(value, int) or is_whole(value))


def _object(place: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = Counter(name for name, _ in pairs)
        repeated = max(names, key=lambda name: names[name])
        raise RowError(f"{place}: {repeated!r} stands there twice", "a name stands twice")
    return found
