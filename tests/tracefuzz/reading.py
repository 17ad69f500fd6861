"""An independent, strict reading of a text file: what each line says, without the loaders and without pandas."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

LONGEST = 10_000_000  # tokens
MOST = sys.float_info.max
_WHOLE = re.compile(r"0|[1-9][0-9]*")
_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
LOOSE = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


ANY = object()  # of a cell: a reader may say what it likes


class Verdict(IntEnum):
    """Of a line: it must be refused, a reader may do either, or it must be read."""

    BAD = 0
    MAY = 1
    LEGAL = 2


class Unreadable(Exception):  # noqa: N818
    """The file as a whole must be refused."""


@dataclass
class Line:
    """What one line (or row) says, in the schema's columns."""

    values: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict = Verdict.LEGAL
    why: str = ""
    blank: bool = False  # a reader may leave it out of its counts

    def worse(self, verdict: Verdict, why: str) -> None:
        if verdict < self.verdict:
            self.verdict, self.why = verdict, why


@dataclass
class Reading:
    """What a whole file says; `may` where a reader may also refuse all of it, `shifted` where it may choose time 0."""

    lines: list[Line]
    may: bool = False
    shifted: bool = False


def unpacked(content: bytes, name: str) -> tuple[str, bool]:
    """The text in the file, and whether a reader may refuse it; Unreadable where it must."""
    may = False
    if (content[:2] == b"\x1f\x8b") is not name.endswith(".gz"):
        raise Unreadable("compression is not what the name says")
    if name.endswith(".gz"):
        plain = b""
        while content:
            if content[3:4] > b"\x1f":  # reserved bits, which zlib refuses; what they mean is not said
                content, may = content[:3] + bytes([content[3] & 0x1F]) + content[4:], True
            stream = zlib.decompressobj(31)
            try:
                plain += stream.decompress(content)
            except zlib.error as error:
                raise Unreadable(f"gzip: {error}") from error
            if not stream.eof:
                raise Unreadable("gzip breaks off")
            content = stream.unused_data.lstrip(b"\0")
            may |= content != stream.unused_data  # padding
        content = plain
    if content.startswith(b"\xef\xbb\xbf"):
        content, may = content[3:], True
    if b"\0" in content:
        raise Unreadable("NUL bytes")
    try:
        return content.decode("utf-8"), may
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error


def text_lines(text: str) -> list[str]:
    """The lines, which end in LF or CRLF; the last may have no end."""
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def records(content: bytes, name: str, columns: tuple[str, ...]) -> list[tuple[Line, dict[str, str]]]:
    """(line, its cells of `columns`) for each record of a csv file with quotes, gzipped or not whatever its name, and
    with a byte order mark or not; one of another width than the header is bad and has no cells."""
    text, _ = unpacked(content, "made.gz" if content[:2] == b"\x1f\x8b" else "made")
    if text.lstrip()[:1] in ("{", "["):
        raise Unreadable("json")
    try:
        header, *rows = (record for record in csv.reader(io.StringIO(text, newline=""), strict=True) if record)
    except (csv.Error, ValueError) as error:
        raise Unreadable(f"not csv: {error}") from error
    header = [column.strip() for column in header]
    if any(header.count(column) != 1 for column in columns) or not rows:
        raise Unreadable("columns, or no rows")
    found = []
    for row in rows:
        line = Line(blank=not "".join(row).strip())
        if len(row) != len(header):
            line.worse(Verdict.BAD, "width")
        cells = dict(zip(header, row, strict=False)) if len(row) == len(header) else {}
        found.append((line, {column: cells[column] for column in columns} if cells else {}))
    return found


def csv_lines(content: bytes, name: str, header: tuple[str, ...]) -> tuple[list[tuple[Line, list[str]]], bool]:
    """(line, its cells) for each row of a csv file without quotes; a line of another width is bad and has no cells."""
    text, may = unpacked(content, name)
    if "\r" in text.replace("\r\n", "\n"):  # a CR alone ends a line too, or the file may be refused
        text, may = text.replace("\r\n", "\n").replace("\r", "\n"), True
    lines = text_lines(text)
    if not lines or lines[0] != ",".join(header):
        raise Unreadable("another header")
    if len(lines) == 1:
        raise Unreadable("no rows")
    found = []
    for written in lines[1:]:
        line, cells = Line(), written.split(",")
        if len(cells) != len(header):
            line.worse(Verdict.BAD, "width")
            line.blank = not written.strip()
            cells = []
        found.append((line, cells))
    return found, may


def json_value(text: str) -> tuple[Any, bool]:
    """The value of a json text, and whether a reader may refuse it: for NaN or half a character where it need not look.

    Unreadable where it is no json, or a name stands twice.
    """
    odd = []

    def constant(name: str) -> float:
        odd.append(name)
        return float(name)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise Unreadable("a name stands twice")
        return dict(pairs)

    try:
        found = json.loads(text, parse_constant=constant, object_pairs_hook=unique)
        whole = is_text(json.dumps(found, ensure_ascii=False))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not json: {error}") from error
    return found, bool(odd) or not whole


def is_text(value: Any) -> bool:
    """Whether it is text without half a character (a lone surrogate)."""
    return isinstance(value, str) and value == value.encode("utf-8", "ignore").decode()


def document(content: bytes, name: str) -> tuple[Any, bool]:
    """The value of a json file, and whether a reader may refuse it."""
    text, may = unpacked(content, name)
    found, odd = json_value(text)
    return found, may or odd


def json_lines(content: bytes, name: str) -> tuple[list[tuple[Line, dict[str, Any]]], bool]:
    """(line, its object) for each line; a line that is no object is bad and empty."""
    text, may = unpacked(content, name)
    found: list[tuple[Line, dict[str, Any]]] = []
    for written in text_lines(text):
        line, row = Line(blank=not written.strip()), {}
        try:
            row, odd = json_value(written)
            if odd:
                line.worse(Verdict.MAY, "NaN or half a character")
        except Unreadable as error:
            line.worse(Verdict.BAD, str(error))
        if not isinstance(row, dict):
            line.worse(Verdict.BAD, "no object")
            row = {}
        found.append((line, row))
    if not found:
        raise Unreadable("no rows")
    return found, may


def written_number(line: Line, column: str, raw: str, *, whole: bool) -> float | None:
    """The number that a csv cell says, and a note on `line` if it is none, or is oddly written."""
    if not (_WHOLE if whole else _DECIMAL).fullmatch(raw):
        if not LOOSE.fullmatch(raw.strip()):
            line.worse(Verdict.BAD, f"{column} {raw[:20]!r} is no number")
            return None
        line.worse(Verdict.MAY, f"{column} {raw[:20]!r} is an odd number")
    return finite(line, column, float(raw))


def json_number(line: Line, column: str, row: dict[str, Any], *, whole: bool) -> float | None:
    """The same for the value of a json name."""
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, int | float):
        line.worse(Verdict.BAD, f"{column} {value!r:.20} is no number")
        return None
    if whole and isinstance(value, float):
        line.worse(Verdict.MAY, f"{column} {value!r:.20} has a point")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        line.worse(Verdict.MAY, f"{column} {value!r:.20} has more than 64 bits")
    return finite(line, column, value)


def finite(line: Line, column: str, value: float) -> float | None:
    if not -MOST <= value <= MOST:
        line.worse(Verdict.BAD, f"{column} is not finite")
        return None
    return value


def count(line: Line, column: str, value: float | None) -> float | None:
    """`value` if it is a whole number of tokens from 1 to ten million; else the line is bad."""
    if value is None or value != math.floor(value) or not 1 <= value <= LONGEST:
        line.worse(Verdict.BAD, f"{column} {value!r:.20} is no count")
        return None
    return int(value)


def not_negative(line: Line, column: str, value: float | None) -> float | None:
    if value is not None and value < 0:
        line.worse(Verdict.BAD, f"{column} is negative")
    return value


def settle_order(lines: list[Line]) -> None:
    """Mark lines that arrive before one above them, and ids that were there before (beside bad lines: may be bad)."""
    sure = possible = -math.inf
    ids: dict[str, Verdict] = {}
    for line in lines:
        readable, verdict = line.values.get("arrival"), line.verdict
        name = str(line.values.get("request_id", id(line)))
        if readable is not None:
            if readable < sure:
                line.worse(Verdict.BAD, "arrival is earlier than one before it")
            elif readable < possible:
                line.worse(Verdict.MAY, "arrival is earlier than that of a doubtful line before it")
            possible = max(possible, readable)
            sure = max(sure, readable) if verdict is Verdict.LEGAL else sure
        if name in ids:
            line.worse(Verdict.BAD if ids[name] is Verdict.LEGAL else Verdict.MAY, "id was there before")
        ids[name] = max(verdict, ids.get(name, Verdict.BAD))


def from_first(lines: list[Line], instants: list[float | None], per_second: int) -> bool:
    """Set arrivals, in seconds from the first readable instant; True where that stands on a doubtful line."""
    first = next((at for at, instant in enumerate(instants) if instant is not None), None)
    doubtful = first is not None and lines[first].verdict is not Verdict.LEGAL
    for line, instant in zip(lines, instants, strict=True):
        if instant is None:
            continue
        line.values["arrival"] = (instant - instants[first]) / per_second
        if instant < instants[first]:
            line.worse(Verdict.MAY if doubtful else Verdict.BAD, "before the first")
    return doubtful


def far(instants: list[float | None], per_second: int) -> bool:
    """Whether a clock may be thought to be in another unit: an instant is over three thousand years from 1970."""
    return any(abs(instant) > 1e11 * per_second for instant in instants if instant is not None)


def may_extra(line: Line, row: dict[str, Any], known: set[str]) -> None:
    if set(row) - known:
        line.worse(Verdict.MAY, f"names that the format does not have: {json.dumps(sorted(set(row) - known))[:40]}")
