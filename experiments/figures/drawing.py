"""A grid of panels of lines with intervals: what most figures of papers are."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from experiments.figures.stored import in_order
from experiments.figures.style import RC, Look, look, plain_log_ticks, provenance, sheet
from experiments.tables.labels import devices_of

PAIRED = (
    "Changes are ratios of means over seeds, less 1: each seed's run against the reference's run of the same requests. "
    "Bars: 95 % intervals over seeds (docs/statistics.md)."
)
MOST_SPREAD = 0.5  # between a point's outermost lines, share of the gap between points
LINEAR, MOST_LINEAR, LINSCALE = 100.0, 400.0, 1.5  # %; of an axis that is logarithmic further out
SHIFT = 0.1  # between neighbouring lines, inches
MANY = 5  # words on an axis, from which on they stand steeper
LETTERS_PER_INCH = 14.0  # of an axis label


@dataclass(frozen=True, slots=True)
class Panels:
    """What a grid of panels is made of: the columns of its table, and what is said of the axes."""

    x: str
    metric: str
    rows: str
    columns: str
    lines: str = "system"
    ylabel: str = ""
    xlabel: str = ""
    legend: str = ""
    zero: str = "fifo"  # what the line at 0 is; none for no such line
    order: Sequence[Hashable] = ()  # of words on the x axis
    log: bool = False
    alike: bool = True  # rows have the same x axis and lines
    row_inches: float = 1.9
    right: float = 1.95  # inches, for the legend
    known: Sequence[Hashable] = ()  # of rows, columns and lines, those that come first, in this order
    called: Mapping[Any, str] = field(default_factory=dict)  # rows and columns by another name


def draw(table: pd.DataFrame, panels: Panels, caption: str, looks: Mapping[Any, Look] | None = None) -> Figure:
    """The figure of a table of `over_seeds`: a row of panels for each of `panels.rows`, a column for `panels.columns`.

    Points of one panel are shifted sideways, so that equal ones stay visible; those of words are not joined.
    """
    rows, columns = (in_order(table[name], panels.known) for name in (panels.rows, panels.columns))
    if any(_furthest(of_row, panels) > MOST_LINEAR for _, of_row in table.groupby(panels.rows)):
        caption += f" Axes that reach {MOST_LINEAR:g} % are logarithmic above {LINEAR:g} %."
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 9}):
        below = 1.15 if _words(table[panels.x]) else 0.8
        figure, grid = sheet(
            len(rows),
            len(columns),
            panels.row_inches,
            panels.right,
            caption,
            left=1.0,
            gap=0.22,
            row_gap=0.5,
            below=below,
        )
        for axes, row in zip(grid, rows, strict=True):
            of_row = table[table[panels.rows] == row]
            own = table if panels.alike else of_row
            names = [
                name for name in in_order(own[panels.lines], panels.known) if not panels.zero or name != panels.zero
            ]
            drawn = {name: (looks or {}).get(name) or look(str(name)) for name in names}
            values = in_order(sorted(set(own[panels.x])), panels.order)
            for place, column in zip(axes, columns, strict=True):
                _panel(place, of_row[of_row[panels.columns] == column], panels, values, drawn)
            _one_scale(axes, panels, of_row)
            for place in axes:
                place.tick_params(labelbottom=not panels.alike or row == rows[-1])
            label = ": ".join(part for part in (panels.called.get(row, str(row)), panels.ylabel) if part)
            axes[0].set_ylabel(textwrap.fill(label, int(panels.row_inches * LETTERS_PER_INCH)))
            if len(drawn) > 1 and (row == rows[0] or not panels.alike):
                _legend(axes[-1], panels, drawn)
        for top, bottom, column in zip(grid[0], grid[-1], columns, strict=True):
            top.set_title(panels.called.get(column, str(column)), fontsize=9.5, weight="bold")
            bottom.set_xlabel(panels.xlabel)
    return figure


def _words(values: Iterable[Hashable]) -> bool:
    return any(isinstance(value, str) for value in values)


def _legend(axes: Axes, panels: Panels, drawn: Mapping[Hashable, Look]) -> None:
    handles = [Line2D([], [], label=str(name), **how.line(), **_points(how)) for name, how in drawn.items()]
    if panels.zero:
        handles.insert(0, Line2D([], [], color="black", linewidth=1.2, label=panels.zero))
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.04, 1.05), borderaxespad=0, handlelength=3.2,
        title=panels.legend, alignment="left",
    )  # fmt: skip


def _panel(
    axes: Axes, table: pd.DataFrame, panels: Panels, values: Sequence[Hashable], drawn: Mapping[Hashable, Look]
) -> None:
    if not len(table):
        axes.set_axis_off()
        return
    at = {value: place for place, value in enumerate(values)}
    words = _words(values)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    inches = axes.get_position().width * figure.get_figwidth() / len(values)
    spread = min(MOST_SPREAD, SHIFT * (len(drawn) - 1) / inches)
    if panels.zero:
        axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    for number, (name, how) in enumerate(drawn.items()):
        own = table[table[panels.lines] == name].sort_values(panels.x, key=lambda column: column.map(at))
        if not len(own):
            continue
        x = own[panels.x].map(at) + spread * (number / max(1, len(drawn) - 1) - 0.5)
        means, halves = ([getattr(point, part) for point in own[panels.metric]] for part in ("mean", "half_width"))
        axes.errorbar(x, means, yerr=np.nan_to_num(halves), fmt="none", ecolor=how.color, alpha=0.6, elinewidth=1)
        axes.plot(x, means, **how.line() | ({"linestyle": ""} if words else {}), **_points(how), zorder=3)
    axes.set_xticks(range(len(values)), [str(value) if words else f"{value:g}" for value in values])
    if words:
        for label in axes.get_xticklabels():
            label.set(rotation=30 if len(values) < MANY else 60, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(visible=False, axis="x")


def _points(how: Look) -> dict[str, Any]:
    return how.points() | {"markersize": 0.75 * float(how.points()["markersize"])}


def _furthest(table: pd.DataFrame, panels: Panels) -> float:
    """The largest change, up or down; 0 where the panels show none."""
    return max(abs(point.mean) for point in table[panels.metric]) if panels.zero else 0.0


def _one_scale(axes: Sequence[Axes], panels: Panels, table: pd.DataFrame) -> None:
    """One y axis for a row; changes beyond MOST_LINEAR % make it logarithmic beyond LINEAR %."""
    if panels.log:
        for place in axes:
            place.set_yscale("log")
            plain_log_ticks(place.yaxis)
    if far := _furthest(table, panels) > MOST_LINEAR:
        more = (200, 500, 1000) if _furthest(table, panels) < 10 * LINEAR else (1000, 10_000, 100_000)
        for place in axes:
            place.set_yscale("symlog", linthresh=LINEAR, linscale=LINSCALE)
            place.yaxis.set_major_locator(FixedLocator([-100, -50, 0, 50, 100, *more]))
            place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    lows, highs = zip(*(place.get_ylim() for place in axes if place.axison), strict=True)
    for place in axes:
        place.set_ylim(max(min(lows), -LINEAR) if far else min(lows), max(highs))
    for place in axes[1:]:
        place.tick_params(labelleft=False, which="both")


def provenance_of(table: pd.DataFrame) -> str:
    """Where traces and times come from, in few words: the profiles are named by device, not by model."""
    devices = table[devices_of(table)].agg(lambda column: column.str.replace(r"^.*/", "", regex=True))
    return provenance(table[["trace", "provenance.trace"]].join(devices).drop_duplicates())


def listed(values: Iterable[Any]) -> str:
    """The different values, with commas."""
    return ", ".join(f"{value}" for value in sorted(set(values)))
