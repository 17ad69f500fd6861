"""splitwise-sim's traces of requests (Mutinifni/splitwise-sim, MIT): csv, arrivals in seconds.

A request is of one prompt (batch_size 1). `client` is the application that it is sent to, `task` its type. The loader
was run on made rows alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from traces.formats import table

COLUMNS = {
    "arrival": "arrival_timestamp",
    "prompt_tokens": "prompt_size",
    "output_tokens": "token_size",
    "request_id": "request_id",
    "client": "application_id",
    "task": "request_type",
}


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a csv file, plain or gzipped, with arrivals in seconds from the first one, of stamps in `unit`
    (None: s).

    TraceError names the line, column and value of what is wrong, a batch_size other than 1 too; `skip_bad` drops and
    counts bad rows instead.
    """
    return table.load(path, columns=COLUMNS, unit=unit, skip_bad=skip_bad, fixed={"batch_size": "1"})
