"""How many times as long, the way that papers on scheduling by size state what they gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.tables.stats import Interval, change


def times(theirs: pd.DataFrame, ours: pd.DataFrame, metric: str, at: Sequence[str] = ()) -> Interval:
    """The mean of `metric` in the runs `theirs` over that in `ours`, paired by seed and by the columns `at`."""
    return as_times(percent(theirs, ours, metric, at))


def as_times(percents: Interval) -> Interval:
    """A change in percent as a factor."""
    return Interval(1 + percents.mean / 100, percents.half_width / 100)


def percent(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str, at: Sequence[str] = ()) -> Interval:
    """By how many percent the mean of `metric` in the runs `ours` differs from that in `theirs`, paired alike."""
    keys = ["seed", *at]
    columns = [[*keys, metric]]
    both = ours[columns[0]].merge(theirs[columns[0]], on=keys, suffixes=("", " of theirs"), validate="one_to_one")
    if not len(both):
        raise ValueError(f"no two runs of equal {' and '.join(keys)} to compare by {metric}")
    return change(both[metric], both[f"{metric} of theirs"])


def passed(table: pd.DataFrame, metric: str, limit: float) -> pd.Series:
    """Seed -> the rate at which `metric` (s/token) passes `limit`, straight in its log between the rates that were run.

    ValueError if it does not at any of them, or is above at the lowest.
    """
    rates = {}
    for seed, run in table.groupby("seed"):
        run = run.sort_values("trace.rate")
        logs, at = np.log(run[metric].to_numpy()), run["trace.rate"].to_numpy(dtype=float)
        above = int(np.argmax(logs > np.log(limit)))
        if not above:
            raise ValueError(
                f"seed {seed}: the latency does not pass {limit:g} s/token within {at[0]:g} to {at[-1]:g}/s"
            )
        share = (np.log(limit) - logs[above - 1]) / (logs[above] - logs[above - 1])
        rates[seed] = at[above - 1] + share * (at[above] - at[above - 1])
    return pd.Series(rates)
