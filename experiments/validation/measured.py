"""A run whose trace was measured: its trace says what a real engine did with the same requests, so compare the two."""

from __future__ import annotations

import pandas as pd

from experiments.validation.errors import errors
from sim.record import Table
from traces.schema import MEASURED

PREFIX = "measured_"
SEEN = MEASURED[1:]  # of a request, by whoever waited for it: when it was first scheduled, its client does not know


def with_measured(requests: Table, replay: pd.DataFrame) -> Table:
    """The request table of a run, with what was measured of each request if the trace says so.

    `fitted` marks the first requests, as many as the trace's `attrs["fitted"]`, which a constant may have been fitted
    to (see `ServedRun` of `traces.formats.llmservingsim`).
    """
    if not set(SEEN) <= set(replay.columns):
        return requests
    beside = {name: replay[name].to_numpy()[requests["id"]] for name in MEASURED if name in replay}
    return {**requests, **beside, "fitted": requests["id"] < replay.attrs["fitted"]}


def error_table(table: pd.DataFrame) -> pd.DataFrame:
    """The errors over all requests of a measured run, with columns `first` for those marked `fitted` and `rest`."""
    found = errors(*both(table))
    for name, part in (("first", table[table["fitted"]]), ("rest", table[~table["fitted"]])):
        if len(part):
            found[name] = errors(*both(part))["error"].where(found["metric"] != "throughput")
    return found


def summarized(requests: Table) -> dict[str, dict[str, float]]:
    """What goes into the summary of a run: {"errors": {"TTFT mean": share, ...}}, or nothing for an unmeasured one."""
    if not set(SEEN) <= set(requests):
        return {}
    found = error_table(pd.DataFrame(requests))
    names = found["metric"] + " " + found["statistic"]
    return {"errors": dict(zip(names, found["error"].astype(float), strict=True))}


def both(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was measured, and what was simulated, as `experiments.validation.errors` takes them."""
    measured = {name: name.removeprefix(PREFIX) for name in MEASURED if name in table}
    simulated = table.drop(columns=list(measured))
    return simulated.assign(**{name: table[column] for column, name in measured.items()}), simulated
