"""Vidur's traces of requests (microsoft/vidur, MIT): csv of arrived_at (s), num_prefill_tokens, num_decode_tokens.

Those in its repository's data/processed_traces have these columns, or of some the lengths alone. Other columns are left
out. The loader was run on made rows, and on the first rows of its splitwise_conv.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from traces.formats import table
from traces.formats.cells import read_cells
from traces.schema import TraceError, check

LENGTHS = {"prompt_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"}
COLUMNS = {"arrival": "arrived_at", **LENGTHS}


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a csv file, plain or gzipped, with arrivals in seconds from the first one, of stamps in `unit`
    (None: s).

    TraceError names the line, column and value of what is wrong, and says what to do with a file of lengths alone;
    `skip_bad` drops and counts bad rows instead.
    """
    try:
        return table.load(path, columns=COLUMNS, unit=unit, skip_bad=skip_bad)
    except TraceError as error:
        if "no column 'arrived_at'" not in str(error):
            raise
        raise TraceError(
            f"{path}: it has lengths and no arrivals (no column 'arrived_at'). Draw lengths from it at synthetic "
            f"arrivals: trace=poisson trace/lengths=copied trace.lengths.path={path} "
            "trace.lengths.load.path=traces.formats.vidur.lengths"
        ) from error


def lengths(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """The requests in a csv file of lengths, all at arrival 0."""
    cells = read_cells(path, LENGTHS, tuple(LENGTHS), None, skip_bad)
    found = cells.rows.assign(arrival=0.0)
    found.attrs["skipped"] = cells.skipped
    place = cells.lines.tolist()
    return check(found, str(path), place=lambda row: f"line {place[row]}", names=LENGTHS, skip_bad=skip_bad)
