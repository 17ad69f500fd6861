"""The Azure LLM inference traces of 2023 and 2024 (Azure/AzurePublicDataset, CC-BY-4.0): arrivals and lengths, no text.

The loader was run on the files of 2023; of 2024 on made rows alone, whose stamps carry a time zone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from traces.clock import stamps as instants_of
from traces.files import FIRST_ROW, read_csv
from traces.schema import check

NAMES = {"arrival": "TIMESTAMP", "prompt_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
HEADER = tuple(NAMES.values())
_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?:\+00:00)?"


def load(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """The trace in a csv file, plain or gzipped, with arrivals in seconds from the first one.

    TraceError names the line of a header, row or byte that is wrong; `skip_bad` drops and counts bad rows instead
    (but not a wrong header or a broken file).
    """
    table = read_csv(path, HEADER, skip_bad=skip_bad).set_axis(list(NAMES), axis=1)
    stamps = table["arrival"]
    seconds = table.assign(arrival=_seconds(stamps)) if len(table) else table
    written = {"arrival": stamps}
    return check(seconds, str(path), first_line=FIRST_ROW, names=NAMES, written=written, skip_bad=skip_bad)


def _seconds(stamps: pd.Series) -> pd.Series:
    """Seconds from the first readable stamp, NaN where there is none."""
    instants = instants_of(stamps.where(stamps.str.fullmatch(_STAMP)))
    return (instants - instants.dropna().head(1).max()).dt.total_seconds()
