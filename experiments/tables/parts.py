"""What the response time of each request is made of: from the spans of a run that kept them, or else from its instants.

A run of `record=jobs` left spans.parquet, whose spans of a request tile its response time. Of others the instants tell
less: `decode` has stops in it, and a static batch, which shows no first token, is one part, `served`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.run.results import Folder
from experiments.tables.requests import measured

SPANS = "spans.parquet"
PARTS = {  # in the order in which they are told -> in words
    "asked": "predictor and router",
    "queued": "waiting for its first step",
    "prefill": "prefill",
    "recompute": "computing anew",
    "decode": "decoding",
    "served": "in static batches",
    "preempted": "stopped",
    "swapped": "swapped out",
    "paused": "calling out",
    "transferred": "moving between replicas",
}
TOLD = ("arrival", "prompt_tokens", "output_tokens", "preemptions", "response_time")
INSTANTS = ("queued", "first_scheduled", "first_token", "finished", "call_seconds")


def parts(folder: Folder) -> pd.DataFrame:
    """A row a measured and finished request, by its number: what TOLD names, `replica_kind`, seconds in each part."""
    requests = measured(folder, [*TOLD, *INSTANTS, "replica_kind"])
    stored = folder.path / SPANS
    found = _of_spans(stored_spans(folder), requests.index) if stored.exists() else _of_instants(requests)
    return pd.concat([requests[[*TOLD, "replica_kind"]], found.loc[:, (found != 0).any()]], axis=1)


def stored_spans(folder: Folder) -> pd.DataFrame:
    """The spans of a run with record=jobs: `request`, `replica`, `span`, `start`, `end` (s)."""
    return pd.read_parquet(folder.path / SPANS)


def _of_spans(spans: pd.DataFrame, requests: pd.Index) -> pd.DataFrame:
    """The seconds of each request in each kind of span; ValueError for a kind that is not known here."""
    if unknown := sorted(set(spans["span"].astype(str)) - set(PARTS)):
        raise ValueError(f"{SPANS} has spans that nobody knows: {', '.join(unknown)}")
    seconds = (spans["end"] - spans["start"]).groupby([spans["request"], spans["span"].astype(str)]).sum()
    wide = seconds.unstack(fill_value=0.0).reindex(requests, fill_value=0.0)
    return wide[[name for name in PARTS if name in wide]]


def _of_instants(requests: pd.DataFrame) -> pd.DataFrame:
    """The same from what requests.parquet keeps."""
    seen = requests["first_token"].notna()
    end = requests["finished"] - requests["call_seconds"]
    found = {
        "asked": requests["queued"] - requests["arrival"],
        "queued": requests["first_scheduled"] - requests["queued"],
        "prefill": np.where(seen, requests["first_token"] - requests["first_scheduled"], 0.0),
        "decode": np.where(seen, end - requests["first_token"], 0.0),
        "served": np.where(seen, 0.0, end - requests["first_scheduled"]),
        "paused": requests["call_seconds"],
    }
    return pd.DataFrame(found, index=requests.index)


def seconds_in(table: pd.DataFrame) -> list[str]:
    """The columns of `parts` that are seconds in a part, in order."""
    return [name for name in PARTS if name in table]
