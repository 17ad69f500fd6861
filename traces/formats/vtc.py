"""The VTC artifact's replay of chatbot-arena traffic (Ying1123/VTC-artifact, Apache-2.0): arrivals by client, lengths.

27 clients stand for the arena's models; the arrivals were rescaled to 600 s by its authors.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from traces.clock import elapsed, negative
from traces.files import FIRST_ROW, read_csv
from traces.schema import check

NAMES = {
    "request_id": "req_id",
    "client": "client",
    "arrival": "req_time_s",
    "prompt_tokens": "prompt_len",
    "output_tokens": "output_len",
}
HEADER = tuple(NAMES.values())
UNIT = "s"


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a csv file, plain or gzipped, with their clients; arrivals in seconds from the first
    one, of stamps in `unit` (None: s).

    TraceError names the line of a header, row or byte that is wrong; `skip_bad` drops and counts bad rows instead
    (but not a wrong header or a broken file).
    """
    table = read_csv(path, HEADER, skip_bad=skip_bad).set_axis(list(NAMES), axis=1)
    written = {"arrival": table["arrival"]}
    table = table.assign(arrival=elapsed(table["arrival"], unit, UNIT, str(path)))
    empty = [(name, "is empty", table[name].eq("").to_numpy()) for name in ("request_id", "client")]
    faults = [negative(written["arrival"]), *empty]
    return check(table, str(path), first_line=FIRST_ROW, names=NAMES, written=written, faults=faults, skip_bad=skip_bad)
