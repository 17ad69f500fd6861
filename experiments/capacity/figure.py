"""The curve of a search: each bounded metric against the rate, with its bound and each system's capacity."""

from __future__ import annotations

import math
from collections.abc import Collection

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.capacity.report import BY, tries
from experiments.capacity.systems import Survey
from experiments.figures.style import RC, Look, legend, look, plain_log_ticks, sheet

TITLES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "inter-token latency", "e2e": "response time"}
ROOM = 30.0  # the largest value that is drawn, as a multiple of its bound


def draw(survey: Survey) -> Figure:
    """A panel for each bounded percentile, or the attainment: lines are means over seeds, bands from least to most."""
    table = tries(survey).replace(math.inf, np.nan)
    names = list(dict.fromkeys(name for one in survey.found for tried in one.tries.values() for name in tried.found))
    shared = any(one.system.slo.share is not None for one in survey.found)
    rates = [survey.grid.rate(place) for place in survey.curve()]
    table = table[table["rate"].between(0.97 * min(rates), 1.03 * max(rates))] if rates else table
    with mpl.rc_context(RC):
        panels = [*names, *(["attainment"] if shared or not names else [])]
        figure, grid = sheet(1, len(panels), 3.6, 2.2, _caption(survey))
        for axes, name in zip(grid[0], panels, strict=True):
            for one in survey.found:
                own = table[table["system"] == one.system.name]
                if name in own:
                    _line(axes, look(one.system.name), own.dropna(subset=name), name, rates)
            bounded(axes, _bounds(survey, name), log=name != "attainment")
            _capacities(axes, survey)
            axes.set(xlabel="arrival rate (requests/s)", ylabel=label(name))
        legend(grid[0][-1], [one.system.name for one in survey.found])
    return figure


def _line(axes: Axes, how: Look, table: pd.DataFrame, name: str, rates: list[float]) -> None:
    """The line of a system at the rates of the curve, and its other tries as points."""
    axes.plot(table["rate"], table[name], linestyle="", marker=".", markersize=3, color=how.color, alpha=0.25, zorder=1)
    means = table[table["rate"].isin(rates)].groupby("rate")[name].agg(["mean", "min", "max"])
    axes.fill_between(means.index, means["min"], means["max"], color=how.color, alpha=0.12, linewidth=0, zorder=2)
    axes.plot(means.index, means["mean"], **how.line(), **how.points() | {"markersize": 5}, zorder=3)


def _capacities(axes: Axes, survey: Survey) -> None:
    """Each system's capacity as an upright line, its interval as a bar at the foot."""
    for number, one in enumerate(survey.found):
        capacity, how = one.capacity(survey.grid), look(one.system.name)
        if not capacity.known:
            continue
        found = capacity.interval
        dashes = (4 * number, (4, 4 * (len(survey.found) - 1))) if len(survey.found) > 1 else "-"  # seen where equal
        axes.axvline(found.mean, color=how.color, linewidth=1.2, linestyle=dashes, zorder=2)
        low, high = (found.mean + sign * found.half_width for sign in (-1, 1))
        height = 0.02 + 0.02 * number
        axes.plot(
            [low, high], [height] * 2, color=how.color, linewidth=3, transform=axes.get_xaxis_transform(), zorder=5
        )


def _bounds(survey: Survey, name: str) -> set[float]:
    if name == "attainment":
        return {one.system.slo.share for one in survey.found if one.system.slo.share is not None}
    return {tried.bounds[name] for one in survey.found for tried in one.tries.values() if name in tried.bounds}


def bounded(axes: Axes, bounds: Collection[float], log: bool = True, room: float = ROOM) -> None:
    """Draw the bounds of a panel, on an axis on which it can be seen how far from them the lines are.

    What is larger than the largest bound by the factor `room` is outside.
    """
    most = max(bounds, default=0.0)
    if log and most:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        low = low if low > 0 else most / room  # nothing is drawn
        axes.set_ylim(0.7 * low, min(max(high, 1.5 * most), room * most))
        plain_log_ticks(axes.yaxis)
    for bound in bounds:
        axes.axhline(bound, color="#cc3311", linewidth=1.2, linestyle=(0, (5, 2)), zorder=4)
        axes.annotate(
            "bound", (0, bound), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            color="#cc3311", fontsize=8,
        )  # fmt: skip


def label(name: str) -> str:
    if name == "attainment":
        return "share of requests within all bounds"
    of, _, bound = name.rpartition(".")
    metric, _, percent = bound.partition("_p")
    return f"{TITLES[metric]} P{percent} (s)" + (f", {of}" if of else "")


def _caption(survey: Survey) -> str:
    settings = survey.settings
    objectives = "; ".join(dict.fromkeys(str(one.system.slo) for one in survey.found))
    limits = "; ".join(dict.fromkeys(line for one in survey.found for line in one.limits))
    return (
        f"Objectives: {objectives}. Lines: means over {settings.seeds} seeds, bands from the least to the most; small "
        "points: all other tries; upright lines: capacities, means over seeds of where each crosses the bound, not "
        "where the mean line does; bars at their feet: 95 % intervals. "
        f"{BY[settings.by].capitalize()}. {limits}."
    )
