"""The Azure LLM inference traces of 2023 (Azure/AzurePublicDataset, CC-BY-4.0): arrivals and lengths, no text."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pandas as pd

from traces.schema import TraceError, check

HEADER = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
NAMES = {"arrival": "TIMESTAMP", "prompt_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
FIRST_LINE = 2  # of the rows, after the header
_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"


def load(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """The trace in a csv file, plain or gzipped, with arrivals in seconds from the first one.

    TraceError names the line of a header, row or byte that is wrong; `skip_bad` drops and counts bad rows instead
    (but not a wrong header or a broken file).
    """
    lines = _lines(path)
    header = tuple(lines[0].split(",")) if lines else ()
    if header != HEADER:
        raise TraceError(f"{path}, line 1: the header is {','.join(header)[:80]!r}, not {','.join(HEADER)!r}")
    rows = [line.split(",") for line in lines[1:]]
    for at, row in enumerate(rows):
        if len(row) != len(HEADER):
            if not skip_bad:
                shown = lines[at + 1][:60]
                raise TraceError(f"{path}, line {at + FIRST_LINE}: {shown!r} has {len(row)} fields, not {len(HEADER)}")
            rows[at] = ["", "", ""]
    table = pd.DataFrame(rows, columns=list(NAMES), dtype=object)
    stamps = table["arrival"]
    seconds = table.assign(arrival=_seconds(stamps)) if rows else table
    written = {"arrival": stamps}
    return check(seconds, str(path), first_line=FIRST_LINE, names=NAMES, written=written, skip_bad=skip_bad)


def _lines(path: Path) -> list[str]:
    """The lines of the file without their ends; TraceError where it breaks off or is not UTF-8."""
    content = bytearray()
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while chunk := file.read(1 << 16):
                content += chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        line = content.count(b"\n") + 1
        raise TraceError(f"{path}, line {line}: the gzip file is broken: {error}") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TraceError(f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _seconds(stamps: pd.Series) -> pd.Series:
    """Seconds from the first readable stamp, NaN where there is none."""
    well_formed = stamps.str.fullmatch(_STAMP)
    instants = pd.to_datetime(stamps.where(well_formed), errors="coerce", format="ISO8601").astype("datetime64[ns]")
    if instants.notna().any():
        instants = instants - instants[instants.first_valid_index()]
    return instants.astype("timedelta64[ns]").dt.total_seconds()
