"""Runs of a real vLLM as LLMServingSim's benchmark records them (casys-kaist/LLMServingSim, MIT): a json object a line.

Each has the request's lengths, its arrival and what the engine noted of it. The client hands token ids to an engine in
its own process, with the output's length fixed (max_tokens, ignore_eos): no tokenizer, no HTTP and no text are in these
times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.clock import exact, per_second, since
from traces.files import field, read_json_lines
from traces.locate import public_file
from traces.resample import check_resample, resampled, said
from traces.schema import MEASURED, check

NAMES = {
    "arrival": "arrival_time",
    "prompt_tokens": "input_toks",
    "output_tokens": "output_toks",
    **dict(zip(MEASURED, ("scheduled_ts", "first_token_ts", "last_token_ts"), strict=True)),
}
QUEUED = "queued_ts"
UNIT = "s"


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a jsonl file, plain or gzipped, with what was measured of them; seconds from the first arrival.
    All instants stand in `unit` (None: s).

    Arrivals are on the client's clock, the rest on the engine's. The request that was queued soonest after its arrival
    is taken to have been queued at once: that sets one clock by the other, too early by what that one took to get
    there (a millisecond or less). A request whose two clocks differ from the others' (their median) by more than the
    whole run lasted sets nothing: it is a bad line. TraceError names file, line and value; `skip_bad` drops and counts
    bad lines instead (but not a broken file).
    """
    table = read_json_lines(path, _row, skip_bad=skip_bad)
    written = {name: table[name] for name in table}
    each, engine = per_second(unit, UNIT), dict.fromkeys((QUEUED, *MEASURED), exact(table[QUEUED].iloc[0]))
    firsts = {"arrival": exact(table["arrival"].iloc[0]), **engine}  # each clock's 0: differences keep their digits
    times = pd.DataFrame({name: since(table[name], first, each) for name, first in firsts.items()})
    between = times[QUEUED] - times["arrival"]
    late = times[QUEUED] > times[MEASURED[0]]
    astray = (between - between.median()).abs() > np.ptp(times.drop(columns="arrival").to_numpy())
    sound = ~(late | astray)
    start, soonest = times["arrival"][sound].head(1).sum(), times.loc[between.where(sound, np.inf).idxmin()]
    faults = [
        (QUEUED, f"is after {NAMES[MEASURED[0]]}", late.to_numpy()),
        ("arrival", f"is further from {QUEUED} than others by more than the run lasted", astray.to_numpy()),
    ]
    arrival = (times["arrival"] - start).where(~astray)  # which would else make later ones out of order
    measured = {name: times[name] - soonest[QUEUED] + (soonest["arrival"] - start) for name in MEASURED}
    table = table.drop(columns=QUEUED).assign(arrival=arrival, max_tokens=table["output_tokens"], **measured)
    return check(table, str(path), first_line=1, names=NAMES, written=written, faults=faults, skip_bad=skip_bad)


@dataclass(frozen=True)
class ServedRun:
    """The run in the file `path` (found by `traces.locate.public_file`), which `origin` describes in a few words.

    All its requests are replayed, with what was measured of them. The first `fitted` are the training rows: what a
    constant may be fitted to, so that an error over the others says something. `resample` "blocks" draws blocks of
    `block` rows (see `traces.resample.Blocks`), of which nothing was measured.
    """

    path: str
    origin: str
    fitted: int
    skip_bad: bool = False
    unit: str | None = None
    resample: str | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        check_resample(self.resample, self.block)
        if self.fitted < 1:
            raise ValueError(f"fitted must be at least 1 request, got {self.fitted}")

    @property
    def provenance(self) -> str:
        """One line: where the rows come from."""
        return f"{self.origin} ({Path(self.path).name}), as recorded{said(self.resample, self.block)}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """All requests; nothing is drawn, or with `resample` blocks of them, by `arrivals`.

        `attrs["fitted"]` says how many of the first are training rows too.
        """
        table = resampled(self._rows, self.resample, self.block, arrivals).copy(deep=False)
        table.attrs["fitted"] = self.fitted
        return table

    def training(self) -> pd.DataFrame:
        """The first `fitted` requests."""
        return self._rows.head(self.fitted)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        table = load(public_file(self.path), skip_bad=self.skip_bad, unit=self.unit)
        table.attrs["read"] = len(table) + sum(table.attrs.get("skipped", {}).values())
        return table


def _row(place: str, row: dict[str, Any]) -> dict[str, Any]:
    numbers = {ours: field(place, row, theirs, float) for ours, theirs in NAMES.items()}
    return {**numbers, QUEUED: field(place, row, QUEUED, float), "request_id": field(place, row, "request_id", str)}
