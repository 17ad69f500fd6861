"""Requests of stored runs, those that the metrics are of: arrived in the measured window, and finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyarrow.types

from experiments.run.results import Folder
from sim import metrics
from sim.metrics import Floats
from sim.record import Table

DERIVED: Mapping[str, tuple[Callable[[Table], Floats], tuple[str, ...]]] = {  # and the columns that each reads
    "response_time": (metrics.response_time, ("finished", "arrival")),
    "ttft": (metrics.ttft, ("first_token", "arrival")),
    "tpot": (metrics.tpot, ("output_tokens", "finished", "first_token")),
    "normalized_latency": (metrics.normalized_latency, ("finished", "arrival", "output_tokens")),
    "serving_time": (metrics.serving_time, ("finished", "arrival", "call_seconds")),
    "longest_wait": (metrics.longest_wait, ("first_scheduled", "queued", "longest_stop")),
}


def stored(folder: Folder) -> Path:
    """The file that holds the requests of a run."""
    return folder.path / "requests.parquet"


def names(folder: Folder) -> list[str]:
    """What can be asked of each request of a run: the derived times, and the columns of numbers."""
    schema = pq.read_schema(stored(folder))
    numbers = [
        field.name for field in schema if pyarrow.types.is_floating(field.type) or pyarrow.types.is_integer(field.type)
    ]
    return [*(name for name, (_, reads) in DERIVED.items() if set(reads) <= set(schema.names)), *numbers]


@lru_cache(maxsize=1 << 14)
def _warmup(path: Path, _changed: int) -> float:
    """The share of the arrivals' span that a run does not measure, read once until its configuration is changed."""
    return float(Folder(path).made_of()["config"]["warmup"])


def measured(folder: Folder, columns: Iterable[str]) -> pd.DataFrame:
    """So many `columns`, stored or derived, of the requests that arrived in the measured window and finished."""
    columns = list(dict.fromkeys(columns))
    reads = {part for name in columns for part in (DERIVED[name][1] if name in DERIVED else (name,))}
    table = pd.read_parquet(stored(folder), columns=sorted(reads | {"arrival", "status"}))
    rows = {name: table[name].to_numpy() for name in table}
    config = folder.path / "config.yaml"
    window = metrics.measured_window(rows, _warmup(folder.path, config.stat().st_mtime_ns))
    kept = (rows["arrival"] >= window[0]) & (rows["arrival"] <= window[1]) & (rows["status"] == "finished")
    of_window = {name: column[kept] for name, column in rows.items()}
    found = {name: DERIVED[name][0](of_window) if name in DERIVED else of_window[name] for name in columns}
    return pd.DataFrame(found, index=np.flatnonzero(kept))
