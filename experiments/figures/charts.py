"""Charts of any metric: lines with intervals, distributions on a logarithmic axis; a grid of panels each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.figures.chosen import REST, Chosen, axis_name, panel_name, short
from experiments.figures.place import Scale, beside, legend_inches, looks_of
from experiments.figures.points import VALUE
from experiments.figures.stored import in_order
from experiments.figures.style import LOOKS, RC, Look, plain_log_ticks, sheet
from experiments.tables.labels import shown
from experiments.tables.stats import jackknife

SIZE = 10.0  # points, of words on an axis
DECADE = 10.0  # the largest value over the smallest, from which on an axis of values is logarithmic
ROW, ROW_GAP, GAP, LEFT = 2.7, 0.45, 0.35, 0.85  # inches
ENTRY = 0.215  # inches, of a line of a legend
SHARES = 500  # points of a distribution's line
NOTHING = 1e-12  # a share that is below each logarithmic axis


@dataclass(frozen=True, slots=True)
class Grid:
    """A figure's axes by the value of row and column, and how wide each is."""

    figure: Figure
    axes: Mapping[tuple[Any, Any], Axes]
    rows: Sequence[Any]
    columns: Sequence[Any]
    inches: float

    def first(self) -> Axes:
        """The upper right panel, beside which a legend stands."""
        return self.axes[self.rows[0], self.columns[-1]]


def values_of(table: pd.DataFrame, setting: str) -> list[Any]:
    """The different values of a setting in order; of none a single None."""
    if not setting:
        return [None]
    known: Sequence[Hashable] = list(LOOKS) if setting == "policy" else ()
    found = in_order(table[setting], known)
    return found if any(isinstance(value, str) for value in found) else sorted(found)


def grid_of(
    table: pd.DataFrame, chosen: Chosen, caption: str, right: float, row: float = ROW, below: float = 0.8,
    left: float = LEFT, steep: float = 0.0, row_gap: float = ROW_GAP,
) -> Grid:  # fmt: skip
    """Panels for each row and column of `table`; `steep`: inches of words below the last row."""
    rows, columns = values_of(table, chosen.row), values_of(table, chosen.col)
    figure, axes = sheet(
        len(rows), len(columns), row, right, caption, left=left, gap=GAP, row_gap=row_gap, below=below + steep
    )
    wide = (10.0 - left - right - (len(columns) - 1) * GAP) / len(columns)
    found = {}
    for (number, one), (at, other) in product(enumerate(rows), enumerate(columns)):
        place = found[one, other] = axes[number][at]
        names = [panel_name(name, value) for name, value in ((chosen.row, one), (chosen.col, other)) if name]
        place.set_title(", ".join(names), loc="left", fontsize=SIZE, weight="bold")
        place.tick_params(labelbottom=number == len(rows) - 1)
    return Grid(figure, found, rows, columns, wide)


def _row(lines: int, rows: int) -> float:
    """Inches of a row of panels, beside which a legend of so many `lines` fits."""
    return max(ROW, (ENTRY * (lines + 1) - ROW_GAP * (rows - 1)) / rows)


def panel_of(table: pd.DataFrame, chosen: Chosen, row: Any, column: Any) -> pd.DataFrame:
    """The rows of one panel."""
    for name, value in ((chosen.row, row), (chosen.col, column)):
        if name:
            table = table[table[name].map(shown) == shown(value)]
    return table


def lines(
    points: pd.DataFrame, chosen: Chosen, label: str, caption: str, zero: str = "", scale: str = "auto"
) -> Figure:
    """A metric against a setting: `points` of experiments.figures.points; `zero` is what the line at 0 stands for."""
    looks = _looks(points, chosen)
    title = "" if chosen.hue in ("policy", REST) else short(chosen.hue)
    right = legend_inches(map(shown, looks), title, SIZE) if len(looks) > 1 else 0.2
    across = Scale.of(points[chosen.x], list(LOOKS) if chosen.x == "policy" else ())
    columns = len(values_of(points, chosen.col))
    wide = (10.0 - LEFT - right - (columns - 1) * GAP) / columns
    with mpl.rc_context(RC | {"font.size": SIZE}):
        row = _row(len(looks), len(values_of(points, chosen.row)))
        grid = grid_of(points, chosen, caption, right, row, below=0.55, steep=across.below(wide, SIZE))
        shifts = across.shifts(len(looks), grid.inches)
        for (row, column), axes in grid.axes.items():
            own = panel_of(points, chosen, row, column)
            if zero:
                axes.axhline(0, color="black", linewidth=1.1, zorder=1)
            for (value, how), shift in zip(looks.items(), shifts, strict=True):
                line = own[own[chosen.hue].map(shown) == shown(value)] if chosen.hue else own
                _line(axes, line, across, chosen.x, how, shift)
            across.ticks(axes, grid.inches, SIZE)
        _one_scale(grid, points, zero, scale)
        for (row, column), axes in grid.axes.items():
            if column == grid.columns[0]:
                axes.set_ylabel(f"change of {label.partition(' (')[0]} (%)" if zero else label)
            if row == grid.rows[-1]:
                axes.set_xlabel(axis_name(chosen.x))
        if len(looks) > 1:
            beside(grid.first(), looks, title)
    return grid.figure


def _looks(table: pd.DataFrame, chosen: Chosen) -> dict[Any, Look]:
    """How each line is drawn."""
    return looks_of(table[chosen.hue], chosen.hue) if chosen.hue else {"": Look("#332288", "o")}


def _line(axes: Axes, line: pd.DataFrame, across: Scale, x: str, how: Look, shift: float) -> None:
    if not len(line):
        return
    places = np.array([across.at(value) for value in line[x]])
    order = np.argsort(places)
    places, found = places[order] + shift, [line[VALUE].iloc[number] for number in order]
    means, halves = (np.array([getattr(one, part) for one in found]) for part in ("mean", "half_width"))
    axes.errorbar(places, means, yerr=np.nan_to_num(halves), fmt="none", ecolor=how.color, alpha=0.6, elinewidth=1.2)
    axes.plot(places, means, **how.line() | ({"linestyle": ""} if across.words else {}), **how.points(), zorder=3)


def _one_scale(grid: Grid, points: pd.DataFrame, zero: str, scale: str) -> None:
    """One y axis for the panels of a row: from 0, or logarithmic where the means span a decade."""
    chosen_row = {row: [axes for (one, _), axes in grid.axes.items() if one == row] for row in grid.rows}
    means = [one.mean for one in points[VALUE]]
    log = not zero and scale != "linear" and min(means) > 0 and (scale == "log" or max(means) > DECADE * min(means))
    if scale == "log" and not log:
        raise ValueError("no logarithmic axis: " + ("changes are below 0" if zero else "a mean is not above 0"))
    for places in chosen_row.values():
        drawn = [np.asarray(line.get_ydata(), dtype=float) for axes in places for line in axes.get_lines()]
        smallest = min((float(values.min()) for values in drawn if len(values)), default=0.0)
        for axes in places:
            if log:
                axes.set_yscale("log")
                plain_log_ticks(axes.yaxis)
        lows, highs = zip(*(axes.get_ylim() for axes in places), strict=True)
        low = min(lows) if zero else max(min(lows), smallest / 2) if log else min(0.0, smallest)
        for axes in places:
            axes.set_ylim(low, max(highs))
        for axes in places[1:]:
            axes.tick_params(labelleft=False, which="both")


def distributions(
    values: pd.DataFrame, chosen: Chosen, column: str, label: str, caption: str, tail: bool = False
) -> Figure:
    """The share of requests with at most each value (with `tail`: above it), on a logarithmic axis of values.

    `values` has a row a request: its settings, `seed` and `column`. The line is the mean over seeds of each seed's
    share, the band its 95 % interval.
    """
    looks = _looks(values, chosen)
    title = "" if chosen.hue in ("policy", REST) else short(chosen.hue)
    right = legend_inches(map(shown, looks), title, SIZE) if len(looks) > 1 else 0.2
    with mpl.rc_context(RC | {"font.size": SIZE}):
        grid = grid_of(
            values, chosen, caption, right, _row(len(looks), len(values_of(values, chosen.row))), row_gap=0.65
        )
        for (row, other), axes in grid.axes.items():
            own = panel_of(values, chosen, row, other)
            for value, how in looks.items():
                distribution(
                    axes, own[own[chosen.hue].map(shown) == shown(value)] if chosen.hue else own, column, how, tail
                )
            share_axes(axes, own[column], tail)
            axes.tick_params(labelbottom=True, labelleft=other == grid.columns[0])
            if other == grid.columns[0]:
                axes.set_ylabel("share above it" if tail else "share of requests")
            if row == grid.rows[-1]:
                axes.set_xlabel(label)
        if len(looks) > 1:
            beside(grid.first(), looks, title, points=False)
    return grid.figure


def distribution(axes: Axes, requests: pd.DataFrame, column: str, how: Look, tail: bool = False) -> None:
    """One line of `distributions`, with its band: of requests with a `seed` and the value in `column`."""
    known = requests[requests[column].notna()]
    if not len(known):
        return
    of_seeds = [np.sort(own[column].to_numpy(dtype=float)) for _, own in known.groupby("seed")]
    at = np.unique(np.quantile(np.concatenate(of_seeds), _levels(len(known))))
    shares = np.stack([np.searchsorted(own, at, side="right") / len(own) for own in of_seeds])
    shares = 1 - shares if tail else shares
    mean = shares.mean(axis=0)
    drawn = mean > 0  # a logarithmic axis has no place for what nobody is above
    axes.plot(at[drawn], mean[drawn], **how.line(), zorder=3)
    if len(shares) > 1:
        half = np.nan_to_num(jackknife((shares.sum(axis=0) - shares) / (len(shares) - 1)))
        least = NOTHING if tail else 0.0
        low, high = np.clip(mean - half, least, 1), np.clip(mean + half, least, 1)
        axes.fill_between(at, low, high, drawn, color=how.color, alpha=0.12, linewidth=0, zorder=2)


def _levels(count: int) -> Any:
    """The shares at which a line has its points: even, and denser towards the tail."""
    even = np.linspace(0, 1, SHARES // 2)
    return np.concatenate([even, 1 - np.geomspace(1 / max(2, count), 1, SHARES // 2)])


def share_axes(axes: Axes, values: pd.Series, tail: bool = False) -> None:
    """Axes of a distribution: values logarithmic where they are above 0; shares from 0 to 1, of a tail logarithmic."""
    known = values[values.notna()]
    if len(known) and known.min() > 0 and known.max() > known.min():
        axes.set_xscale("log")
        axes.set_xlim(known.quantile(0.001) / 1.05, known.max() * 1.1)
        wide = known.max() > 1e3 * known.min()
        plain_log_ticks(axes.xaxis, (1,) if wide else (1, 2, 5))
    axes.set_ylim(0, 1.01)
    if tail:
        axes.set_yscale("log")
        smallest = min((float(np.min(line.get_ydata())) for line in axes.get_lines()), default=0.1)
        axes.set_ylim(0.7 * smallest, 1.2)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:g}")
