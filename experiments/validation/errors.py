"""A simulated run beside the real one: how far their metrics are apart. Pure functions over request tables.

A table has a row a request: id, arrival, first_scheduled, first_token, finished (seconds from the trace's start),
prompt_tokens, output_tokens. TTFT, TPOT and E2E are those of `sim.metrics`, over all requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from sim.metrics import response_time, tpot, ttft

METRICS = {"TTFT": ttft, "TPOT": tpot, "E2E": response_time}
QUANTILES = {"P50": 50, "P90": 90, "P99": 99}
SAME = ("id", "prompt_tokens", "output_tokens")  # what a real and a simulated run of one trace agree in
NEEDED = (*SAME, "arrival", "first_token", "finished")

Runs: TypeAlias = pd.DataFrame | Sequence[pd.DataFrame]


def statistics(requests: pd.DataFrame) -> pd.Series:
    """Mean and quantiles of each metric (s), and requests/s and output tokens/s from first arrival to last finish.

    The index is (metric, statistic). ValueError names the first request that did not finish. Where a request shows no
    first token, as those of static batches, TTFT and TPOT are NaN: those of the others alone would mislead.
    """
    _check(requests)
    streamed = requests["first_token"].notna().all()
    found: dict[tuple[str, str], float] = {}
    for name, metric in METRICS.items():
        values = metric(requests)
        values = values[~np.isnan(values)] if streamed or name == "E2E" else []  # an answer of one token has no TPOT
        found[name, "mean"] = float(np.mean(values)) if len(values) else np.nan
        for label, quantile in QUANTILES.items():
            found[name, label] = float(np.percentile(values, quantile)) if len(values) else np.nan
    seconds = float(requests["finished"].max() - requests["arrival"].min())
    found["throughput", "requests/s"] = len(requests) / seconds
    found["throughput", "tokens/s"] = float(requests["output_tokens"].sum()) / seconds
    return pd.Series(found).rename_axis(["metric", "statistic"])


def errors(real: Runs, simulated: pd.DataFrame) -> pd.DataFrame:
    """A row for each statistic: metric, statistic, measured, simulated (s; 1/s for throughput), error.

    The error is simulated / measured - 1. Of several real runs of the same requests `measured` is the mean over runs,
    and a column `spread` says how far they are apart themselves, (max - min) / mean. ValueError where the runs are not
    of the same requests.
    """
    runs = _runs(real, simulated)
    each = pd.concat([statistics(run) for run in runs], axis=1)
    table = pd.DataFrame({"measured": each.mean(axis=1), "simulated": statistics(simulated)})
    table["error"] = table["simulated"] / table["measured"] - 1
    if len(runs) > 1:
        table["spread"] = (each.max(axis=1) - each.min(axis=1)) / table["measured"]
    return table.reset_index()


def request_errors(real: Runs, simulated: pd.DataFrame) -> pd.DataFrame:
    """A row for each metric: median signed error, then P50, P90, P99 of the absolute one, over single requests.

    The error of a request is simulated / real - 1, where `real` is its mean over runs.
    """
    runs = _runs(real, simulated)
    order = simulated.sort_values("id")
    rows = []
    for name, metric in METRICS.items():
        measured = np.mean([metric(run.sort_values("id")) for run in runs], axis=0)
        error = metric(order) / measured - 1
        error = error[~np.isnan(error)]
        shares = np.percentile(np.abs(error), [*QUANTILES.values()]) if len(error) else [np.nan] * len(QUANTILES)
        rows.append({"metric": name, "bias": float(np.median(error)) if len(error) else np.nan})
        rows[-1] |= {label: float(share) for label, share in zip(QUANTILES, shares, strict=True)}
    return pd.DataFrame(rows)


def _runs(real: Runs, simulated: pd.DataFrame) -> list[pd.DataFrame]:
    """The real runs as a list; ValueError unless all are of the requests that `simulated` is of."""
    runs = [real] if isinstance(real, pd.DataFrame) else list(real)
    if not runs:
        raise ValueError("there is no real run to compare with")
    _check(simulated)
    expected = simulated.sort_values("id")
    for number, run in enumerate(runs):
        _check(run)
        if len(run) != len(expected):
            raise ValueError(f"real run {number} has {len(run)} requests, the simulated one {len(expected)}")
        ordered = run.sort_values("id")
        for column in SAME:
            differ = ordered[column].to_numpy() != expected[column].to_numpy()
            if differ.any():
                row = int(differ.argmax())
                name, one, other = (part.iloc[row] for part in (ordered["id"], ordered[column], expected[column]))
                raise ValueError(f"real run {number}, request {name}: {column} is {one}, simulated {other}")
    return runs


def _check(requests: pd.DataFrame) -> None:
    """ValueError if a column is missing, there is no request, or one did not finish."""
    missing = [name for name in NEEDED if name not in requests]
    if missing:
        raise ValueError(f"the table lacks {', '.join(missing)}; it has {', '.join(map(str, requests.columns))}")
    if not len(requests):
        raise ValueError("the table has no request")
    never = requests["finished"].isna()
    if never.any():
        raise ValueError(f"request {requests.loc[never, 'id'].iloc[0]} has no finished: compare whole runs")
