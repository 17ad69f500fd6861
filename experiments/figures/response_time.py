"""Mean response time and throughput against the arrival rate, a line per policy.

    tokenyard figures response_time results/demo                   # into results/demo/figures/
    tokenyard figures response_time results/demo --output paper    # paper/response_time.{png,pdf}

Reads table.parquet of the folder, or collects the folder's complete runs where that is missing or older than one of
them. Sweep `trace.rate` to get lines; one rate gives a point with its interval per policy instead. Every other setting
that differs between the runs (the trace, the predictor ...) gets a row of panels for each of its values. Bands (bars
where the policies are many) are 95 % intervals of the mean over seeds, so sweep `seed` too:

    tokenyard -m policy=fifo,sjf,up,rtlm trace.rate=2,4,8 'seed=range(5)' name=mine
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.figures.style import RC, legend, look, ordered, plain_log_ticks, provenance, save, sheet
from experiments.tables.collect import collect, complete_folders
from experiments.tables.labels import as_asked, varying, with_foreign_parts
from experiments.tables.stats import distinct, interval

RATE = "trace.rate"
METRICS = {"response_time_mean": "mean response time (s)", "throughput_requests": "throughput (requests/s)"}
SHIFT, SPREAD = 0.05, 0.3  # between neighbouring policies and between all, shares of the smallest gap between rates
MOST_BANDS = 5  # more would hide one another
NOTE: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False}


def read(folder: Path) -> pd.DataFrame:
    """The table of the runs below `folder`; FileNotFoundError if there is none."""
    stored = folder / "table.parquet"
    written = stored.stat().st_mtime if stored.exists() else float("-inf")
    newer = [path for path in folder.glob("**/status.json") if path.stat().st_mtime > written]
    if stored.exists() and not newer:
        return pd.read_parquet(stored)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: give the results/NAME that `tokenyard -m ...` printed")
    return collect(complete_folders(folder))


def panels(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What is said of a row of panels -> its runs: a row for each combination of the settings that vary, but the rate.

    ValueError if the table has no rate, or a seed twice where a mean over seeds is to be taken.
    """
    if not len(table):
        raise ValueError("the table has no run")
    if RATE not in table.columns or table[RATE].isna().any():
        raise ValueError(f"not every run says its {RATE}: set it in the sweep, for example trace.rate=2,4,8")
    columns = [name for name in varying(table) if name != RATE]
    groups = table.groupby(columns, dropna=False) if columns else [((), table)]
    found = {}
    for key, group in groups:
        name = ", ".join(f"{column}={value}" for column, value in zip(columns, key, strict=True))
        twice = group[group.duplicated(["policy", RATE, "seed"])]
        if len(twice):
            policy, rate, seed = twice.iloc[0][["policy", RATE, "seed"]]
            raise ValueError(
                f"{policy} at {RATE}={rate} has seed {seed} twice{f' ({name})' if name else ''}: the runs differ in "
                "something that the table does not show, such as a profile that was measured again or an experiment's "
                "yaml; remove the older runs, or keep each kind in a folder of its own"
            )
        found[name] = group
    return found


def means(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rate, mean over seeds, lower and upper end of its 95 % interval (NaN with one seed), for one policy's `runs`."""
    rows = []
    for rate, group in runs.groupby(RATE):
        found = interval(distinct(group)[metric])
        rows.append((rate, found.mean, found.mean - found.half_width, found.mean + found.half_width))
    return pd.DataFrame(rows, columns=["rate", "mean", "low", "high"])


def draw(table: pd.DataFrame) -> Figure:
    """The figure of a collected table."""
    table = with_foreign_parts(as_asked(table))
    rows = panels(table)
    with mpl.rc_context(RC):
        return _points(table, rows) if table[RATE].nunique() == 1 else _lines(table, rows)


def _lines(table: pd.DataFrame, rows: dict[str, pd.DataFrame]) -> Figure:
    policies = ordered(table["policy"])
    bands = len(policies) <= MOST_BANDS
    beside = "Policies are shifted sideways, so that equal ones stay visible; the ticks are the rates. "
    figure, grid = sheet(len(rows), len(METRICS), 3.3, 2.05, caption(table, "Bands" if bands else "Bars", beside))
    for axes, (name, runs) in zip(grid, rows.items(), strict=True):
        rates = np.sort(runs[RATE].unique())
        shift = min(SHIFT, SPREAD / len(policies)) * float(np.diff(rates).min() if len(rates) > 1 else rates[0])
        for place, (metric, label) in zip(axes, METRICS.items(), strict=True):
            for number, policy in enumerate(policies):
                offset = (number - (len(policies) - 1) / 2) * shift
                _line(place, means(runs[runs["policy"] == policy], metric), policy, offset, bands)
            place.set(xlabel="arrival rate (requests/s)", ylabel=label, xticks=rates)
            place.grid(visible=False, axis="x")
        _response_axis(axes[0], runs)
        axes[1].plot(rates, rates, color="#777777", linewidth=1, linestyle=":", zorder=1)
        axes[1].annotate("all that arrive", (rates[-1], rates[-1]), (-4, 3), **NOTE, ha="right", color="#777777")
        axes[1].set_ylim(bottom=0)
        axes[0].annotate(name, (0, 1), (0, 8), **NOTE | {"xycoords": "axes fraction"}, weight="bold")
    legend(grid[0][-1], policies)
    return figure


def _line(place: Axes, points: pd.DataFrame, policy: str, offset: float, band: bool) -> None:
    how, x = look(policy), points["rate"] + offset
    if band:
        place.fill_between(x, points["low"], points["high"], color=how.color, alpha=0.12, linewidth=0, zorder=1)
    else:
        place.vlines(x, points["low"], points["high"], color=how.color, alpha=0.5, linewidth=1.3, zorder=2)
    place.plot(x, points["mean"], **how.line(), **how.points(), zorder=3)


def _response_axis(place: Axes, runs: pd.DataFrame) -> None:
    """From 0, or logarithmic where the means span more than a decade."""
    found = runs.groupby(["policy", RATE])["response_time_mean"].mean()
    if not found.max() > 10 * found.min():
        place.set_ylim(bottom=0)
        return
    place.set_yscale("log")
    place.set_ylim(found.min() / 2, None)  # an interval that reaches below 0 has no lower end here
    plain_log_ticks(place.yaxis)


def _points(table: pd.DataFrame, rows: dict[str, pd.DataFrame]) -> Figure:
    policies = ordered(table["policy"])
    rate = f"Arrival rate {table[RATE].iloc[0]:g} requests/s. "
    figure, grid = sheet(len(rows), len(METRICS), 0.5 + 0.3 * len(policies), 0.2, caption(table, "Bars", rate), 1.4)
    for axes, (name, runs) in zip(grid, rows.items(), strict=True):
        for place, (metric, label) in zip(axes, METRICS.items(), strict=True):
            for number, policy in enumerate(policies):
                how, points = look(policy), means(runs[runs["policy"] == policy], metric)
                place.hlines([number] * len(points), points["low"], points["high"], color=how.color, linewidth=2)
                place.plot(points["mean"], [number] * len(points), color=how.color, **how.points(), linestyle="")
            place.set(xlabel=label, yticks=range(len(policies)), yticklabels=policies)
            place.set_ylim(len(policies) - 0.4, -0.6)
            place.set_xlim(left=0)
            place.grid(visible=False, axis="y")
        axes[1].tick_params(labelleft=False)
        axes[0].annotate(name, (0, 1), (0, 8), **NOTE | {"xycoords": "axes fraction"}, weight="bold")
    return figure


def caption(table: pd.DataFrame, mark: str, more: str) -> str:
    """Where the numbers come from, what is drawn, and what was left out."""
    seeds = sorted(set(table.groupby([*varying(table), "policy"], dropna=False)["seed"].nunique()))
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    if seeds[-1] == 1:
        means = "One seed: no interval. "
    else:
        means = (
            f"Mean over {count} seeds. {mark}: 95 % interval of that mean, over traces; all policies replay the "
            "same traces, so compare two of them by their paired difference (tokenyard collect), not by overlap. "
        )
    lost = " and ".join(f"{table[state].sum()} {state}" for state in ("censored", "rejected") if table[state].sum())
    return f"{provenance(table)} {means}{more}" + (f"Not in the response times: {lost} requests." if lost else "")


def main() -> None:
    """Read, draw, save; print where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of results, as `tokenyard -m` printed it: results/NAME")
    parser.add_argument("--output", type=Path, help="folder of the figures (default: RESULTS/figures)")
    arguments = parser.parse_args()
    try:
        figure = draw(read(arguments.results))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"tokenyard figures response_time: {error}")
    for path in save(figure, (arguments.output or arguments.results / "figures") / "response_time"):
        print(path)


if __name__ == "__main__":
    sys.exit("this is now: tokenyard figures response_time")
