"""The shoot-out's figures and tables: by load, mean against P99, what gains are made of, by size; who is certain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from experiments.figures.stored import Figure, Stored
from experiments.figures.style import RC, Look, save, sheet
from experiments.figures.write import written
from experiments.papers.shootout import runs, tables
from experiments.papers.shootout.runs import SETTINGS, TRACES
from experiments.papers.shootout.tables import HEAVY, MEAN, MEMORIES, P99
from experiments.run.written import write_table

__all__ = ["FIGURES", "SETTINGS"]

NAMES = {"azure": "Azure conversation", "vtc": "VTC arena", "castillo": "CASTILLO"}
LOOKS = {  # those that are drawn in colour; the others are grey
    "sjf": Look("#117733", "s"),
    "ssjf": Look("#7fbf3f", "D"),
    "srpt": Look("#dd4433", "^"),
    "gittins": Look("#332288", "o"),
    "fb": Look("#e69f00", "v"),
    "boost": Look("#0072b2", "P"),
}
GREY = Look("#b4b4b4", "o")
ABOUT = (
    "Llama-3.1-8B on an A100, continuous batching of 256 seats; load 1 is what first come, first served can take. KV: "
    "ample (the device's own) or short (room for about 40 requests). Lengths predicted with SSJF's mistakes, drawn "
    "(Azure, VTC), or from the text (CASTILLO)."
)
PAIRED = (
    "Bars: 95 % intervals over resamples of the trace, where there are several, paired by seed (docs/statistics.md)."
)
TICKS = (  # of factors: the finest that are not too near to one another
    (0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2),
    (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4),
    (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5),
    (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50),
    (0.01, 0.1, 1, 10, 100),
)
NEAR = 0.07  # of an axis
APART = 0.052  # of an axis' height that two labels are apart


def factor(percent: float) -> float:
    """Of a change in %."""
    return 1 + percent / 100


def by_load(found: pd.DataFrame, output: Path) -> list[Path]:
    """The mean response time over FIFO's, by load."""
    table = tables.changes(tables.told(found[found["contender"].isin(tables.MAIN)]))

    def panel(axes: Axes, own: pd.DataFrame) -> None:
        axes.axhline(1, color="black", linewidth=1.2)
        ends = {}
        for name in _grey_first(own["contender"]):
            line = own[own["contender"] == name].sort_values("load")
            y = [factor(one.mean) for one in line[MEAN]]
            if name in LOOKS:
                halves = np.nan_to_num([one.half_width / 100 for one in line[MEAN]])
                axes.errorbar(line["load"], y, halves, fmt="none", ecolor=LOOKS[name].color, alpha=0.4, elinewidth=1)
            axes.plot(line["load"], y, **_line(name), zorder=3 if name in LOOKS else 2)
            ends[name] = (float(line["load"].iloc[-1]), y[-1])
        axes.set_xlim(right=max(own["load"]) + 0.16)
        _factors(axes)
        _named_ends(axes, ends)

    figure = _grid(table, panel, "load", "mean response time, FIFO's = 1", f"{ABOUT} {PAIRED} Grey: the others.")
    return save(figure, output / "load")


def pareto(found: pd.DataFrame, output: Path) -> list[Path]:
    """Mean against P99 at the heaviest load, both over FIFO's; the front of those that none beats in both."""
    table = tables.changes(tables.told(found[found["load"] == HEAVY]), [MEAN, P99])
    table = table.assign(x=[factor(one.mean) for one in table[MEAN]], y=[factor(one.mean) for one in table[P99]])

    def panel(axes: Axes, own: pd.DataFrame) -> None:
        own = own.assign(front=tables.front(own, "x", "y")).sort_values(["x", "y"])
        best = own[own["front"]]
        axes.plot(best["x"], best["y"], color="black", linewidth=1, zorder=2)
        axes.axhline(1, color="#c8c8c8", linewidth=0.9, zorder=1)
        axes.axvline(1, color="#c8c8c8", linewidth=0.9, zorder=1)
        for row in sorted(own.to_dict("records"), key=lambda row: row["contender"] in LOOKS):
            how = LOOKS.get(row["contender"], GREY)
            color = "black" if row["contender"] == "fifo" else how.color
            axes.plot(row["x"], row["y"], how.marker, color=color, markersize=5, zorder=3, markeredgecolor="white")
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain(axes.xaxis)
        _plain(axes.yaxis)
        _named_points(axes, own[own["front"] | own["contender"].isin(LOOKS)])

    caption = (
        f"{ABOUT} At load {HEAVY:g}. Line: those that no other beats in both; named are these, and those in colour."
    )
    figure = _grid(table, panel, "mean, FIFO's = 1", "P99, FIFO's = 1", caption)
    return save(figure, output / "pareto")


def made_of(found: pd.DataFrame, output: Path) -> list[Path]:
    """What a gain is made of: the same order with other lengths, without preemption, with other evictions."""
    table = tables.parts(found)
    order = [name for name in tables.PARTS if name in set(table["part"])]

    def panel(axes: Axes, own: pd.DataFrame) -> None:
        axes.axvline(1, color="black", linewidth=1)
        for at, name in enumerate(order):
            for row in own[own["part"] == name].to_dict("records"):
                how, value = LOOKS.get(row["contender"], GREY), row[MEAN]
                half = np.nan_to_num(value.half_width / 100)
                color = "#555555" if how is GREY else how.color
                axes.errorbar(factor(value.mean), at, xerr=half, fmt="none", ecolor=color, alpha=0.5)
                axes.plot(factor(value.mean), at, "o", color=color, markersize=5)
        axes.set_xscale("log")
        means = [factor(one.mean) for one in own[MEAN]]
        axes.set_xlim(0.85 * min(means), 1.15 * max(1.0, *means))
        _plain(axes.xaxis)
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(len(order) - 0.5, -0.5)

    caption = (
        f"{ABOUT} At load {HEAVY:g}. KV dropped: computed anew, as in vLLM; else it is kept, then goes to the host. "
        f"Wrong lengths: of other requests; with them Gittins knows the workload's law. {PAIRED}"
    )
    figure = _grid(table, panel, "mean response time, FIFO's = 1", "", caption, row_inches=2.6, left=1.75, shared=True)
    return save(figure, output / "parts")


def sizes(found: pd.DataFrame, output: Path) -> list[Path]:
    """Who pays: the slowdown by size, over FIFO's."""
    table = tables.by_size(found[found["contender"].isin(tables.MAIN)])
    words = list(dict.fromkeys(table["size"]))

    def panel(axes: Axes, own: pd.DataFrame) -> None:
        axes.axhline(1, color="black", linewidth=1.2)
        ends = {}
        for name in _grey_first(own["contender"]):
            line = own[own["contender"] == name].set_index("size").loc[words]
            y = [factor(one.mean) for one in line["change"]]
            axes.plot(range(len(words)), y, **_line(name), zorder=3 if name in LOOKS else 2)
            ends[name] = (len(words) - 1.0, y[-1])
        axes.set_xticks(range(len(words)), words)
        axes.set_xlim(right=len(words) + 0.6)
        _factors(axes)
        _named_ends(axes, ends)

    caption = (
        f"{ABOUT} At load {HEAVY:g}: mean of E2E over the time that a request takes alone, of fifths of the requests "
        "by that time (1: the shortest) and of the longest 1 %."
    )
    return save(_grid(table, panel, "size", "slowdown, FIFO's = 1", caption), output / "sizes")


def changed(found: pd.DataFrame, output: Path) -> list[Path]:
    """The main table: the change of the mean response time, certain or not."""
    notes = (
        f"At load {HEAVY:g}, in % of FIFO's, ± half of a 95 % interval, seeds: {found['seed'].nunique()}; *: not 0 "
        f"after Holm's correction for all changes of the table. All: the mean of the cells. {ABOUT}"
    )
    mean = written(tables.main(found), output / "mean", "Mean response time against FIFO", notes, {})
    return mean + written(tables.main(found, P99), output / "p99", "P99 against FIFO", notes, {})


def told_of(found: pd.DataFrame, output: Path) -> list[Path]:
    """The metrics themselves at the heaviest load: what a server promises, who waits, what is moved."""
    names = {
        MEAN: ".1f", P99: ".0f", "ttft_mean": ".1f", "ttft_p99": ".0f", "tpot_mean": ".3f", "tpot_p99": ".3f",
        "normalized_latency_mean": ".3f", "longest_wait": ".0f", "goodput_strict": ".2f", "goodput_loose": ".2f",
        "preemptions": ".0f", "moved_tokens": ".0f", "dropped_tokens": ".0f", "clients_jain": ".2f",
        "clients_spread": ".1f", "tau": ".2f", "rejected": ".0f", "censored": ".0f",
    }  # fmt: skip
    notes = (
        f"At load {HEAVY:g}; s, s/token, requests/s, counts, tokens of KV. Goodput: requests/s whose first token came "
        "within 1 s and the others 50 ms apart (strict), 10 s and 100 ms (loose). Jain's index and the largest "
        "difference of the clients' mean slowdowns, where there are clients. Kendall's tau of predicted and true "
        "lengths."
    )
    names = {name: spec for name, spec in names.items() if name in found}  # without VTC there are no clients
    return written(tables.levels(found, list(names)), output / "levels", "Metrics at the heaviest load", notes, names)


def _grid(
    table: pd.DataFrame, panel: Callable[[Axes, pd.DataFrame], None], xlabel: str, ylabel: str, caption: str,
    row_inches: float = 2.5, left: float = 0.75, shared: bool = False,
) -> Canvas:  # fmt: skip
    """A row of panels for each memory, a column for each trace."""
    traces = [name for name in TRACES if (table["trace"] == name).any()]
    with mpl.rc_context(RC | {"font.size": 8.5, "axes.labelsize": 9}):
        figure, grid = sheet(
            2, len(traces), row_inches, 0.15, caption, left=left, gap=0.15 if shared else 0.45, row_gap=0.6, below=0.55
        )
        for row, kv in zip(grid, MEMORIES, strict=True):
            for axes, trace in zip(row, traces, strict=True):
                own = table[(table["trace"] == trace) & (table["kv"] == kv)]
                if len(own):
                    panel(axes, own)
                else:
                    axes.set_axis_off()
                axes.set_title(f"{NAMES[trace]}, KV {kv}", fontsize=9, weight="bold")
                axes.set_xlabel(xlabel if kv == MEMORIES[-1] else "")
                if shared and axes is not row[0]:
                    axes.tick_params(labelleft=False)
            row[0].set_ylabel(ylabel)
    return figure


def _line(name: str) -> dict[str, Any]:
    how = LOOKS.get(name, GREY)
    size = {"markersize": 4.5} if name in LOOKS else {"markersize": 0.0}
    return how.line() | how.points() | size | ({} if name in LOOKS else {"linewidth": 1.0})


def _grey_first(names: pd.Series) -> list[str]:
    """The contenders but FIFO, which is the line at 1; those in colour over the others."""
    return sorted(set(names) - {"fifo"}, key=lambda name: (name in LOOKS, name))


def _factors(axes: Axes) -> None:
    axes.set_yscale("log")
    _plain(axes.yaxis)


def _plain(axis: Any) -> None:
    """Ticks that say factors as they are, on a logarithmic axis."""
    low, high = axis.get_view_interval()
    within = [[tick for tick in ticks if low <= tick <= high] for ticks in TICKS]
    gaps = [np.diff(np.log(ticks)).min(initial=np.inf) / np.log(high / low) for ticks in within]
    axis.set_major_locator(FixedLocator(next(ticks for ticks, gap in zip(within, gaps, strict=True) if gap >= NEAR)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _named_ends(axes: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Name the lines that are in colour at their right ends, none over another."""
    to_axes = axes.transAxes.inverted()
    places = {name: to_axes.transform(axes.transData.transform(ends[name])) for name in LOOKS if name in ends}
    heights = _apart([place[1] for place in places.values()])
    for (name, place), height in zip(places.items(), heights, strict=True):
        axes.text(
            place[0] + 0.02, height, name, transform=axes.transAxes, color=LOOKS[name].color, va="center", fontsize=8
        )


def _apart(wanted: Sequence[float]) -> list[float]:
    """Heights near the `wanted`, as shares of an axis, in their order and APART or more from one another."""
    order = np.argsort(wanted, kind="stable")
    heights = np.clip(np.asarray(wanted, dtype=float), 0.02, 0.98)
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + APART)
    if len(heights):
        heights -= np.clip(np.mean(heights - wanted), heights.max() - 0.98, None)
    return [float(height) for height in heights]


def _named_points(axes: Axes, points: pd.DataFrame) -> None:
    """Name points; those in one place together."""
    for at, (place, names) in enumerate(points.groupby(["x", "y"])["contender"]):
        offset = (4, 4) if at % 2 == 0 else (4, -9)
        axes.annotate(", ".join(names), place, offset, textcoords="offset points", fontsize=7.5)


def rows(stored: Stored, output: Path) -> list[Path]:
    """Write the runs, a row each."""
    found = runs.found(stored)
    output.mkdir(parents=True, exist_ok=True)
    measured = found.select_dtypes("float64").columns.drop("load")  # which is compared
    write_table(output / "runs.parquet", found.astype(dict.fromkeys(measured, "float32")))
    return [output / "runs.parquet"]


DRAWN: dict[str, tuple[str, Callable[[pd.DataFrame, Path], list[Path]]]] = {
    "load": ("the mean response time against FIFO, by load", by_load),
    "pareto": ("mean against P99, at the heaviest load", pareto),
    "parts": ("how much of a gain is the order, the preemption, the prediction, what becomes of KV", made_of),
    "sizes": ("who pays: slowdown by size", sizes),
    "changes": ("the main table: changes of mean and P99, and which are certain", changed),
    "levels": ("all metrics at the heaviest load", told_of),
}


def _of_stored(make: Callable[[pd.DataFrame, Path], list[Path]]) -> Callable[[Stored, Path], list[Path]]:
    return lambda stored, output: make(runs.found(stored), output)


FIGURES = {
    **{name: Figure(about, _of_stored(make)) for name, (about, make) in DRAWN.items()},
    "runs": Figure("a row for each run, from which all others are drawn", rows),
}
