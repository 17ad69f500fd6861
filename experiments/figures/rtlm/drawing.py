"""A grid of panels of lines with intervals: what most of RT-LM's figures are."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.figures.rtlm.stored import MODELS, SYSTEMS, in_order
from experiments.figures.style import RC, Look, look, plain_log_ticks, sheet

PAIRED = (
    "Changes are paired: a seed's run against the reference's run of the same requests. Bars: 95 % t intervals of the "
    "mean over seeds."
)
SPREAD = 0.5  # between a point's outermost lines, share of the gap between points
LETTERS_PER_INCH = 12.0  # of an axis label
LOOKS = {
    "sjf_oracle": look("sjf"),
    "up_offload": Look("#e69f00", "d", (3, 1.5)),
    "consolidation_offload": Look("#0072b2", "h", (3, 1.5)),
    "rtlm_recalled": Look("#7f4f24", "p", (1, 1.5)),
}
CLUSTERS = {"rtlm_server": "server", "rtlm_edge": "edge"}


@dataclass(frozen=True, slots=True)
class Panels:
    """What a grid of panels is made of: the columns of its table, and what is said of the axes."""

    x: str
    metric: str
    rows: str
    columns: str
    lines: str = "system"
    ylabel: str = "change (%)"
    xlabel: str = ""
    legend: str = ""
    zero: str = "fifo"  # what the line at 0 is; none for no such line
    log: bool = False
    row_inches: float = 1.9
    share_y: bool = True  # within a row


def line_look(name: Hashable) -> Look:
    """How a system's line is drawn."""
    return LOOKS.get(str(name)) or look(str(name))


def draw(table: pd.DataFrame, panels: Panels, caption: str, looks: Mapping[Hashable, Look] | None = None) -> Figure:
    """The figure of a table of `over_seeds`: a row of panels for each of `panels.rows`, a column for `panels.columns`.

    Points of one panel are shifted sideways, so that equal ones stay visible; those of words are not joined.
    """
    rows, columns = (in_order(table[name], (*CLUSTERS, *MODELS)) for name in (panels.rows, panels.columns))
    names = [name for name in in_order(table[panels.lines], SYSTEMS) if not panels.zero or name != panels.zero]
    looks = looks or {name: line_look(name) for name in names}
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 9}):
        figure, grid = sheet(len(rows), len(columns), panels.row_inches, 1.95, caption, gap=0.22, row_gap=0.5)
        for axes, row in zip(grid, rows, strict=True):
            of_row = table[table[panels.rows] == row]
            for place, column in zip(axes, columns, strict=True):
                own = of_row[of_row[panels.columns] == column]
                _panel(place, own, panels, names, looks)
            _one_scale(axes, panels)
            if row != rows[-1]:
                for place in axes:
                    place.tick_params(labelbottom=False)
            label = ": ".join(part for part in (CLUSTERS.get(str(row), str(row)), panels.ylabel) if part)
            axes[0].set_ylabel(textwrap.fill(label, int(panels.row_inches * LETTERS_PER_INCH)))
        for top, bottom, column in zip(grid[0], grid[-1], columns, strict=True):
            top.set_title(CLUSTERS.get(str(column), str(column)), fontsize=9.5, weight="bold")
            bottom.set_xlabel(panels.xlabel)
        handles = [Line2D([], [], label=str(name), **looks[name].line(), **_points(looks[name])) for name in names]
        if panels.zero:
            handles.insert(0, Line2D([], [], color="black", linewidth=1.2, label=panels.zero))
        grid[0][-1].legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.04, 1.05),
            borderaxespad=0,
            handlelength=3.2,
            title=panels.legend,
            alignment="left",
        )
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, panels: Panels, names: Sequence[Hashable], looks: Mapping[Hashable, Look]
) -> None:
    values = in_order(table[panels.x], sorted(set(table[panels.x]), key=_key))
    if not len(table):
        axes.set_axis_off()
        return
    at = {value: place for place, value in enumerate(values)}
    words = any(isinstance(value, str) for value in values)
    if panels.zero:
        axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    for number, name in enumerate(names):
        own = table[table[panels.lines] == name].sort_values(panels.x, key=lambda column: column.map(at))
        if not len(own):
            continue
        how = looks[name]
        offset = SPREAD * (number / max(1, len(names) - 1) - 0.5)
        x = own[panels.x].map(at) + offset
        means, halves = ([getattr(point, part) for point in own[panels.metric]] for part in ("mean", "half_width"))
        axes.errorbar(x, means, yerr=np.nan_to_num(halves), fmt="none", ecolor=how.color, alpha=0.6, elinewidth=1)
        line = how.line() | ({"linestyle": ""} if words else {})
        axes.plot(x, means, **line, **_points(how), zorder=3)
    axes.set_xticks(range(len(values)), [f"{value:g}" if not words else value for value in values])
    if words:
        axes.tick_params(axis="x", labelrotation=30)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(visible=False, axis="x")


def _key(value: Hashable) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _points(how: Look) -> dict[str, object]:
    return how.points() | {"markersize": 0.75 * float(how.points()["markersize"])}


def _one_scale(axes: Sequence[Axes], panels: Panels) -> None:
    if panels.log:
        for place in axes:
            place.set_yscale("log")
            plain_log_ticks(place.yaxis)
    if panels.share_y:
        lows, highs = zip(*(place.get_ylim() for place in axes if place.axison), strict=True)
        for place in axes:
            place.set_ylim(min(lows), max(highs))
        for place in axes[1:]:
            place.tick_params(labelleft=False, which="both")
