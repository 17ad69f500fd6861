"""What the memory of replicas was used for: the audits of runs, each row with the settings of its run, and printed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from experiments.run.results import Folder
from experiments.tables.labels import settings_of, shown
from experiments.tables.reference import Reference

HEADING = "KV memory by use, % of a replica's tokens x seconds, mean over seeds (docs/results.md)"
HELD_UP = "held up: of all these, while a step took longer for what it computed anew or copied"


def stored(name: str, summaries: pd.DataFrame, folders: Mapping[str, Folder]) -> pd.DataFrame:
    """The tables `name` (steps, audit) of those of the collected runs that have one; `folders` by `run`."""
    rows = [(row, folders[row["run"]].path / f"{name}.parquet") for row in settings_and_run(summaries)]
    tables = [with_settings(row, pd.read_parquet(path)) for row, path in rows if path.exists()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def settings_and_run(summaries: pd.DataFrame) -> list[pd.Series]:
    """Of each collected run, its settings and `run`."""
    return [row for _, row in summaries[[*settings_of(summaries), "run"]].iterrows()]


def with_settings(settings: pd.Series, table: pd.DataFrame) -> pd.DataFrame:
    """`table` with `settings` before its columns; of what both have, as `model`, its own says more and stays."""
    for at, (name, value) in enumerate(settings.drop(table.columns, errors="ignore").items()):
        table.insert(at, name, value)
    return table


def render(audit: pd.DataFrame, reference: Reference) -> str:
    """The shares of the uses as text: a row for each policy and replica, at equal values of the other settings."""
    table = reference.labelled(audit)
    names = [*reference.groups(table), "policy", "replica"]
    if reference.axis in table:
        names.insert(-1, reference.axis)
    rows = [
        {**dict(zip(names, map(shown, key), strict=True)), **_shares(runs)}
        for key, runs in table.groupby(names, sort=False, dropna=False)
    ]
    heading = f"{HEADING}\n{HELD_UP}" if "held_up" in table else HEADING
    return f"{heading}\n{pd.DataFrame(rows).to_string(index=False, float_format='{:.2f}'.format)}"


def _shares(runs: pd.DataFrame) -> dict[str, float]:
    """Of `runs`, each with a row for each use, the mean share of each, and what of all was held up, %."""
    shares = {str(use): value for use, value in (100 * runs.groupby("use", sort=False)["share"].mean()).items()}
    if "held_up" in runs:
        held = runs["held_up"] / (runs["kv_tokens"] * runs["seconds"])
        shares["held up"] = float(100 * held.groupby(runs["use"]).mean().sum())
    return shares
