"""The Azure LLM inference traces of 2023 (Azure/AzurePublicDataset, CC-BY-4.0): arrivals and lengths, no text."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from traces.locate import public_file
from traces.schema import TraceError, check
from traces.split import check_share

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


@dataclass(frozen=True)
class Azure2023:
    """Windows of an Azure 2023 trace: the first `training_share` of its rows train, the rest is replayed.

    `path` is found by `traces.locate.public_file`. A replay is `window` requests in a row from a random start (None:
    all the rest), re-based to start at 0, and stretched in time to a mean of `rate` requests/s (None: as recorded).
    """

    path: str = "traces/azure_2023_conv.csv.gz"
    rate: float | None = None
    window: int | None = None
    training_share: float = 0.2

    def __post_init__(self) -> None:
        check_share(self.training_share)
        if self.rate is not None and not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window must be at least 2 requests, got {self.window}")

    @property
    def provenance(self) -> str:
        """One line: what was recorded, where, and what was done to it."""
        speed = "at the recorded rate" if self.rate is None else f"time-scaled to {self.rate:g} requests/s"
        return f"recorded: Azure LLM inference 2023 ({Path(self.path).name}, CC-BY-4.0), {speed}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """One window; `lengths` is not drawn from, for lengths are as recorded."""
        table = self._rows()
        rest = table.iloc[self._training_rows(table) :]
        window = len(rest) if self.window is None else self.window
        if window > len(rest):
            raise ValueError(f"window is {window} requests, {self.path} has {len(rest)} to replay")
        start = int(arrivals.integers(len(rest) - window + 1))
        return self._rebased(rest.iloc[start : start + window])

    def training(self) -> pd.DataFrame:
        """The first `training_share` of the rows, as recorded."""
        table = self._rows()
        return table.iloc[: self._training_rows(table)].reset_index(drop=True)

    def _rows(self) -> pd.DataFrame:
        return load(public_file(self.path))

    def _training_rows(self, table: pd.DataFrame) -> int:
        return int(len(table) * self.training_share)

    def _rebased(self, rows: pd.DataFrame) -> pd.DataFrame:
        arrival = rows["arrival"].to_numpy() - rows["arrival"].iloc[0]
        if self.rate is not None:
            if arrival[-1] == 0:
                raise ValueError(f"{len(rows)} requests of {self.path} arrive at one instant: no rate to scale")
            arrival = arrival * ((len(rows) - 1) / arrival[-1] / self.rate)
        return rows.reset_index(drop=True).assign(arrival=arrival)
