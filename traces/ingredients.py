"""Public files that hold no requests, but what requests can be made of: windows of clients, quantiles, predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.files import FIRST_ROW, SHOWN, read_csv
from traces.formats import coding_sessions
from traces.formats.servegen import WINDOW, read_quantiles, read_rates
from traces.schema import LONGEST, TraceError
from traces.summary import quantiles

BOUNDS = (42, 141, 294, 503)  # tokens at which SSJF's classes 1 to 4 begin
SSJF_HEADER = ("", "output_token_length", "predicted_length", "latency", "model")


@dataclass(frozen=True, slots=True)
class Ingredient:
    """How a file that is no trace is read and said: its name in `traces.sniff`, what it is for, and its figures."""

    name: str
    use: str
    read: Callable[[Path], pd.DataFrame]
    figures: Callable[[pd.DataFrame], dict[str, Any]]


def rate_figures(table: pd.DataFrame) -> dict[str, Any]:
    """By model: windows, clients, days, the sum of the clients' rates over time (requests/s), windows that no client
    has, and the share of requests that come in windows with a CV above 1."""
    return {model: _rates(rows) for model, rows in table.groupby("model")}


def total_rates(rows: pd.DataFrame) -> pd.Series:
    """The sum of all clients' rates (requests/s) by the start of the window (s), NaN where no client has that one."""
    starts = np.arange(0, rows["t"].max() + WINDOW, WINDOW)
    return rows.groupby("t")["rate"].sum().reindex(starts)


def _rates(rows: pd.DataFrame) -> dict[str, float]:
    totals = total_rates(rows)
    by_client = rows.groupby("client")["rate"].sum()
    return {
        "windows": float(len(rows)),
        "clients": float(len(by_client)),
        "largest_client_share": float(by_client.max() / by_client.sum()),
        "days": len(totals) * WINDOW / 86400,
        "missing_windows": float(totals.isna().sum()),
        "rate_mean": float(totals.mean()),
        "rate_min": float(totals.min()),
        "rate_max": float(totals.max()),
        "bursty_share": float(np.average(rows["cv"] > 1, weights=rows["rate"])),
    }


def quantile_figures(table: pd.DataFrame) -> dict[str, Any]:
    """By model and field: rows, clients, days, and the median over all rows of the mean and of some quantiles."""
    found = {}
    for (model, name), rows in table.groupby(["model", "field"]):
        medians = {f"median_{column}": float(rows[column].median()) for column in ("mean", "q50", "q90", "q99")}
        days = float((rows["t"].max() - rows["t"].min()) / 86400)
        facts = {"rows": float(len(rows)), "clients": float(rows["client"].nunique()), "days": days}
        found[f"{model} {name}"] = facts | medians
    return found


def read_predictions(path: Path) -> pd.DataFrame:
    """SSJF's true lengths, predicted classes and latencies (s); TraceError names the line of a bad cell."""
    text = read_csv(path, SSJF_HEADER)
    table = text[list(SSJF_HEADER[1:4])].apply(pd.to_numeric, errors="coerce")
    length, predicted, latency = (table[name] for name in table)
    sound = pd.DataFrame(
        {
            length.name: length.between(1, LONGEST) & length.mod(1).eq(0),
            predicted.name: predicted.isin(range(len(BOUNDS) + 1)),
            latency.name: latency.between(0, np.inf, inclusive="left"),
        }
    )
    for name in sound:
        if not sound[name].all():
            row = int(np.argmin(sound[name].to_numpy()))
            raise TraceError(f"{path}, line {row + FIRST_ROW}: {name} {text[name].iloc[row][:SHOWN]!r} is not sound")
    return table


def prediction_figures(table: pd.DataFrame) -> dict[str, Any]:
    """Rows, true lengths, accuracy, the proxy's latency (s), and counts by true and predicted class."""
    confusion = confusion_counts(table)
    return {
        "rows": float(len(table)),
        **quantiles("output_tokens", table["output_token_length"].to_numpy()),
        "accuracy": float(np.trace(confusion) / confusion.sum()),
        "latency_mean": float(table["latency"].mean()),
        "confusion": confusion.tolist(),
    }


def confusion_counts(table: pd.DataFrame) -> np.ndarray:
    """Requests by true class (rows) and predicted class (columns); class k begins at BOUNDS[k - 1] tokens."""
    true = np.searchsorted(BOUNDS, table["output_token_length"], side="right")
    counts = np.zeros((len(BOUNDS) + 1, len(BOUNDS) + 1), dtype=int)
    np.add.at(counts, (true, table["predicted_length"].to_numpy(dtype=int)), 1)
    return counts


INGREDIENTS = (
    Ingredient(
        "servegen_rates", "no requests: each client's rate and burstiness in each window of ten minutes, of which "
        "trace=servegen samples a trace", read_rates, rate_figures,
    ),
    Ingredient(
        "servegen_quantiles", "no requests: quantiles of each client's lengths in each window of six hours, for "
        "trace=servegen", read_quantiles, quantile_figures,
    ),
    Ingredient(
        "coding_sessions", "sessions without arrivals: the calls of each, which trace=coding_sessions replays in "
        "a closed loop", coding_sessions.read_calls, coding_sessions.figures,
    ),
    Ingredient(
        "ssjf_predictions", "no arrivals and no prompts: true lengths with a predicted class, an error model for "
        "predictors", read_predictions, prediction_figures,
    ),
)  # fmt: skip
