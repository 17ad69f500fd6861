"""Our values for LAMPS's claims, from stored results: what claims.yaml names.

The paper's benchmark stops when the window of arrivals ends, and counts those that have finished: by that count whoever
serves long requests late looks fast. Here all are served to their end, and each value is taken both ways: `window` over
those that finished in it, `all` over all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import percent
from experiments.tables.stats import Interval, jackknife

SETTINGS = (
    "trace.rate", "trace.seconds", "trace.source.rate", "trace.source.seconds",
    "policy.order.starvation", "policy.order.skip",
    "predictor.length_error", "predictor.duration_error",
)  # fmt: skip
SINGLE, MULTI, MIXED = "augmented/lamps_single", "augmented/lamps_multi", "augmented/lamps_mixed"
SETS = {SINGLE: "one call", MULTI: "several calls", MIXED: "half plain"}
STARVATION, SKIP = "augmented/lamps_starvation", "augmented/lamps_skip"
ERRORS, PREDICTORS = "augmented/lamps_errors", "augmented/lamps_predictors"
RATES = (3, 4, 5, 6)  # [R] requests/s
COUNTED = ("window", "all")
TIMES = ("e2e", "ttft", "tpot")
PARTS: Mapping[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "p50": np.median,
    "p99": lambda values: np.percentile(values, 99),
}
COLUMNS = ["arrival", "first_token", "finished", "output_tokens", "call_seconds", "status"]
REFERENCE = "infercept_released"

Values = NDArray[np.float64]


def times_of(requests: pd.DataFrame) -> dict[str, Values]:
    """E2E with the time of calls, TTFT, TPOT without it, of those that finished, s, as MARS's benchmark counts them."""
    done = requests[requests["status"] == "finished"]
    serving = done["finished"] - done["first_token"] - done["call_seconds"]
    return {
        "e2e": (done["finished"] - done["arrival"]).to_numpy(),
        "ttft": (done["first_token"] - done["arrival"]).to_numpy(),
        "tpot": (serving / done["output_tokens"]).to_numpy(),
    }


def runs(stored: Stored, sweep: str) -> pd.DataFrame:
    """A row for each run: means, medians and P99 of E2E, TTFT and TPOT, s, and how many finished, counted both ways."""
    table = plain(stored.table(sweep))
    rows = []
    for run, seconds in zip(table["run"], table["trace.seconds"], strict=True):
        requests = stored.requests(sweep, run, COLUMNS)
        row: dict[str, float] = {}
        for counted in COUNTED:
            own = requests if counted == "all" else requests[requests["finished"] <= seconds]
            times = times_of(own)
            row[f"finished {counted}"] = len(times["e2e"])
            for name, values in times.items():
                for part, take in PARTS.items():
                    row[f"{name}_{part} {counted}"] = float(take(values)) if len(values) else float("nan")
        rows.append(row)
    return pd.concat([table.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with the rate and the window of a trace that is made from another as its own."""
    found = table.copy()
    for name in ("rate", "seconds"):
        if f"trace.source.{name}" in found:
            own = found[f"trace.{name}"] if f"trace.{name}" in found else float("nan")
            found[f"trace.{name}"] = found[f"trace.source.{name}"].fillna(own)
    return found


def rates_of(table: pd.DataFrame) -> list[float]:
    """Its rates, requests/s."""
    return sorted(table["trace.rate"].unique())


def beside(
    stored: Stored,
    metric: str,
    counted: str,
    system: str = "lamps",
    other: str = REFERENCE,
    sets: Iterable[str] = tuple(SETS),
    rates: Sequence[float] = RATES,
) -> list[Found]:
    """By how many percent `metric` (as e2e_mean) is more under `system` than under `other`, by set and rate."""

    def changed(rows: pd.DataFrame) -> Interval:
        return percent(of(rows, system=system), of(rows, system=other), f"{metric} {counted}")

    return _by_set(stored, changed, sets, rates)


def over_vllm(
    stored: Stored, metric: str, counted: str, sets: Iterable[str] = tuple(SETS), rates: Sequence[float] = RATES
) -> list[Found]:
    """By how many points of percent `metric` falls further (below 0) against vLLM than against INFERCEPT."""
    return _by_set(stored, lambda rows: _further(rows, f"{metric} {counted}"), sets, rates)


def _by_set(
    stored: Stored, value: Callable[[pd.DataFrame], Interval], sets: Iterable[str], rates: Sequence[float]
) -> list[Found]:
    """`value` of the runs of each set at each rate."""
    return [
        Found(f"{SETS[sweep]}, {rate:g} requests/s", value(of(table, trace__rate=rate)))
        for sweep in sets
        for table in [runs(stored, sweep)]
        for rate in rates
    ]


def _further(rows: pd.DataFrame, metric: str) -> Interval:
    """The change against vLLM less that against INFERCEPT, points of percent."""

    def points(lamps: Values, infercept: Values, vllm: Values) -> float:
        return float(100 * (lamps.mean() / vllm.mean() - lamps.mean() / infercept.mean()))

    return _jackknifed(points, rows, metric, ("lamps", REFERENCE, "infercept_vllm"))


def without_scheduling(stored: Stored, metric: str, counted: str, rates: Sequence[float] = RATES) -> list[Found]:
    """The share of what LAMPS gains over INFERCEPT that its handling gains in FCFS's order, %, by rate (Fig. 6)."""

    def share(lamps: Values, fcfs: Values, infercept: Values) -> float:
        return float(100 * (infercept.mean() - fcfs.mean()) / (infercept.mean() - lamps.mean()))

    table = runs(stored, MULTI)
    systems = ("lamps", "lamps_fcfs", REFERENCE)
    return [
        Found(f"{rate:g} requests/s", _jackknifed(share, of(table, trace__rate=rate), f"{metric} {counted}", systems))
        for rate in rates
    ]


def _jackknifed(function: Callable[..., float], rows: pd.DataFrame, metric: str, systems: Iterable[str]) -> Interval:
    """`function` of the values of `metric` under each of `systems`, paired by seed, and its interval over seeds."""
    values = np.stack([of(rows, system=name).sort_values("seed")[metric].to_numpy() for name in systems])
    left_out = [function(*np.delete(values, at, axis=1)) for at in range(values.shape[1])]
    return Interval(function(*values), float(jackknife(left_out)))


def with_errors(stored: Stored, metric: str, counted: str, most: float = 1.0) -> list[Found]:
    """By how many percent `metric` under LAMPS differs from FCFS with as wrong a handling, by errors up to `most`."""
    lamps, fifo = (of(runs(stored, ERRORS), **{"policy/order": order}) for order in ("lamps", "fifo"))
    return [
        Found(
            f"errors of {100 * error:g} %",
            percent(rows, of(fifo, predictor__length_error=error), f"{metric} {counted}"),
        )
        for error, rows in by_choice(lamps, "predictor.length_error")
        if 0 < error <= most
    ]


def loss_by_errors(stored: Stored, metric: str, counted: str, most: float = 1.0) -> list[Found]:
    """By how many percent `metric` under LAMPS is more than with true predictions, by errors up to `most`."""
    table = of(runs(stored, ERRORS), **{"policy/order": "lamps"})
    true = of(table, predictor__length_error=0)
    return [
        Found(f"errors of {100 * error:g} %", percent(rows, true, f"{metric} {counted}"))
        for error, rows in by_choice(table, "predictor.length_error")
        if 0 < error <= most
    ]


def by_choice(table: pd.DataFrame, setting: str) -> list[tuple[float, pd.DataFrame]]:
    """The rows of each value of `setting`, the least first."""
    return [(float(value), rows) for value, rows in sorted(table.groupby(setting), key=lambda one: float(one[0]))]
