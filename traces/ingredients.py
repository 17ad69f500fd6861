"""Public files that hold no requests, but what requests can be made of: windows of clients, quantiles, predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from traces.files import read_csv
from traces.schema import TraceError
from traces.summary import quantiles

WINDOW = 600  # s, of ServeGen's rates
LATEST = 1e9  # s; a later window is taken for a mistake in the file
BOUNDS = (42, 141, 294, 503)  # tokens at which SSJF's classes 1 to 4 begin
SSJF_HEADER = ("", "output_token_length", "predicted_length", "latency", "model")


@dataclass(frozen=True, slots=True)
class Ingredient:
    """How a file that is no trace is read and said: its name in `traces.sniff`, what it is for, and its figures."""

    name: str
    use: str
    read: Callable[[Path], pd.DataFrame]
    figures: Callable[[pd.DataFrame], dict[str, Any]]


def read_rates(path: Path) -> pd.DataFrame:
    """ServeGen's windows; TraceError for a rate that is not positive, or what is no such file."""
    table = _parquet(path, ("t", "rate", "cv"), ("model", "client"))
    _must(path, table, "rate", table["rate"].between(0, np.inf, inclusive="neither"), "is not positive")
    _must(path, table, "cv", table["cv"].between(0, np.inf, inclusive="left"), "is not a number from 0")
    _must(path, table, "t", table["t"].between(0, LATEST) & table["t"].mod(WINDOW).eq(0), "begins no window")
    return table


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


def read_quantiles(path: Path) -> pd.DataFrame:
    """ServeGen's quantiles; TraceError for a number that is negative or none, or what is no such file."""
    numbers = ("t", "mean", "q50", "q90", "q99")
    table = _parquet(path, numbers, ("model", "client", "field"))
    for name in numbers:
        _must(path, table, name, table[name].between(0, np.inf, inclusive="left"), "is not a number from 0")
    return table


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
    for name, sound in (
        (
            "output_token_length",
            table["output_token_length"].between(1, 1e7) & table["output_token_length"].mod(1).eq(0),
        ),
        ("predicted_length", table["predicted_length"].isin(range(len(BOUNDS) + 1))),
        ("latency", table["latency"].between(0, 3600)),
    ):
        _must(path, text, name, sound, "is not one", first=2)
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


def _parquet(path: Path, numbers: tuple[str, ...], texts: tuple[str, ...]) -> pd.DataFrame:
    """These columns of the file, the numbers as float64 with NaN for what is none."""
    try:
        table = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: cannot be read as parquet: {error}") from error
    missing = sorted({*numbers, *texts} - set(table.columns))
    if missing or table.empty:
        raise TraceError(f"{path}: " + (f"column {', '.join(missing)} is missing" if missing else "no rows"))
    cells = table[list(numbers)].apply(pd.to_numeric, errors="coerce").astype(float)
    return table[list(texts)].assign(**{name: cells[name] for name in numbers})


def _must(path: Path, table: pd.DataFrame, name: str, sound: pd.Series, reason: str, first: int = 1) -> None:
    if not sound.all():
        row = int(np.argmin(sound.to_numpy()))
        place = f"row {row + 1}" if first == 1 else f"line {row + first}"
        raise TraceError(f"{path}, {place}: {name} {str(table[name].iloc[row])[:60]!r} {reason}")


INGREDIENTS = (
    Ingredient(
        "servegen_rates", "no requests: each client's rate and burstiness in each window of ten minutes, of which "
        "traces.formats.servegen samples a trace", read_rates, rate_figures,
    ),
    Ingredient(
        "servegen_quantiles", "no requests: quantiles of each client's lengths in each window of six hours, for "
        "traces.formats.servegen", read_quantiles, quantile_figures,
    ),
    Ingredient(
        "ssjf_predictions", "no arrivals and no prompts: true lengths with a predicted class, an error model for "
        "predictors", read_predictions, prediction_figures,
    ),
)  # fmt: skip
