"""Runs of a real vLLM as LLMServingSim's benchmark records them (casys-kaist/LLMServingSim, MIT): a json object a line.

Each has the request's lengths, its arrival and what the engine noted of it. The client hands token ids to an engine in
its own process, with the output's length fixed: no tokenizer, no HTTP and no text are in these times.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from traces.locate import public_file
from traces.schema import MEASURED, TraceError, check

NAMES = {
    "arrival": "arrival_time",
    "prompt_tokens": "input_toks",
    "output_tokens": "output_toks",
    **dict(zip(MEASURED, ("scheduled_ts", "first_token_ts", "last_token_ts"), strict=True)),
}
QUEUED = "queued_ts"


def load(path: Path) -> pd.DataFrame:
    """The requests in a jsonl file, plain or gzipped, with what was measured of them; seconds from the first arrival.

    Arrivals are on the client's clock, the rest on the engine's. The request that was queued soonest after its arrival
    is taken to have been queued at once: that sets one clock by the other, too early by what that one took to get
    there (a millisecond or less). TraceError names file, line and value.
    """
    rows = [_row(f"{path}, line {number}", line) for number, line in enumerate(_lines(path), start=1)]
    if not rows:
        raise TraceError(f"{path}: no rows")
    table = pd.DataFrame(rows)
    ahead = (table[QUEUED] - table["arrival"]).min()
    start = table["arrival"].iloc[0]
    seconds = {"arrival": table["arrival"] - start, **{name: table[name] - ahead - start for name in MEASURED}}
    written = {name: table[name] for name in NAMES}
    return check(table[[*NAMES]].assign(**seconds), str(path), first_line=1, names=NAMES, written=written)


@dataclass(frozen=True)
class ServedRun:
    """The run in the file `path` (found by `traces.locate.public_file`), which `origin` describes in a few words.

    All its requests are replayed, with what was measured of them. The first `fitted` are the training rows: what a
    constant may be fitted to, so that an error over the others says something.
    """

    path: str
    origin: str
    fitted: int

    def __post_init__(self) -> None:
        if self.fitted < 1:
            raise ValueError(f"fitted must be at least 1 request, got {self.fitted}")

    @property
    def provenance(self) -> str:
        """One line: where the rows come from."""
        return f"{self.origin} ({Path(self.path).name}), as recorded"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """All requests; nothing is drawn."""
        return self._rows

    def training(self) -> pd.DataFrame:
        """The first `fitted` requests."""
        return self._rows.head(self.fitted)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        return load(public_file(self.path))


def _row(place: str, line: str) -> dict[str, float]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise TraceError(f"{place}: not json: {error}") from error
    if not isinstance(found, dict):
        raise TraceError(f"{place}: {line[:60]!r} is not an object")
    row = {}
    for ours, theirs in (*NAMES.items(), (QUEUED, QUEUED)):
        if theirs not in found:
            raise TraceError(f"{place}: {theirs} is missing in {line[:60]!r}")
        if isinstance(found[theirs], bool) or not isinstance(found[theirs], int | float):
            raise TraceError(f"{place}: {theirs} {found[theirs]!r} is not a number")
        row[ours] = found[theirs]
    return row


def _lines(path: Path) -> list[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return file.read().splitlines()
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: the file is broken: {error}") from error
