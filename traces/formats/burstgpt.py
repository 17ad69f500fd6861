"""The BurstGPT traces of ChatGPT and GPT-4 on Azure (HPMLL/BurstGPT, CC-BY-4.0): arrivals and lengths, no text.

Files 1 and 2 have six columns, file 3 of release 2.0 has eight. The loader was run on made rows alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from traces.clock import elapsed
from traces.files import FIRST_ROW, read_csv
from traces.schema import check

NAMES = {"arrival": "Timestamp", "prompt_tokens": "Request tokens", "output_tokens": "Response tokens"}
TOTAL, MODEL, KIND, SESSION = "Total tokens", "Model", "Log Type", "Session ID"
HEADER = ("Timestamp", MODEL, "Request tokens", "Response tokens", TOTAL, KIND)
UNIT = "s"
LONG_HEADER = ("Timestamp", SESSION, "Elapsed time", *HEADER[1:])


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a csv file, plain or gzipped, with arrivals in seconds from the first one, of stamps
    in `unit` (None: s).

    `task` is model and log type, such as "GPT-4, API log". Of the long files the elapsed time is left out, and a
    request without a session (from the API) is one of its own. A request that failed has an answer of 0 tokens.
    TraceError names the line of a header, row or byte that is wrong; `skip_bad` drops and counts failures and bad rows
    instead (but not a wrong header or a broken file).
    """
    cells = read_csv(path, HEADER, LONG_HEADER, skip_bad=skip_bad)
    table = cells[list(NAMES.values())].set_axis(list(NAMES), axis=1)
    prompts, answers, totals = (
        pd.to_numeric(cells[name], errors="coerce").astype(float) for name in (*list(NAMES.values())[1:], TOTAL)
    )
    arrival = elapsed(cells["Timestamp"], unit, UNIT, str(path))
    table = table.assign(arrival=arrival, task=cells[MODEL] + ", " + cells[KIND])
    if SESSION in cells:
        own = "line " + pd.Series(range(FIRST_ROW, FIRST_ROW + len(cells)), index=cells.index).astype(str)
        table["session"] = cells[SESSION].where(cells[SESSION] != "", own)
    faults = [
        *((name, "is empty", cells[name].eq("").to_numpy()) for name in (MODEL, KIND)),
        ("output_tokens", "is 0: a request that failed", answers.eq(0).to_numpy()),
        (TOTAL, "is not Request tokens + Response tokens", (totals != prompts + answers).to_numpy()),
    ]
    written = {"arrival": cells["Timestamp"], **{name: cells[name] for name in (TOTAL, MODEL, KIND)}}
    return check(table, str(path), first_line=FIRST_ROW, names=NAMES, written=written, faults=faults, skip_bad=skip_bad)
