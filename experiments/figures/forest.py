"""Intervals one below the other: a line for each name, so that no two of them hide one another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from experiments.figures.drawing import LINEAR, LINSCALE, MOST_LINEAR
from experiments.figures.place import inches
from experiments.figures.stored import in_order
from experiments.figures.style import RC, Look, look, sheet
from experiments.tables.stats import Interval

SIZE = 9.0  # points
LINE = 0.27  # inches, from a name to the next
APART = 0.36  # between two marks on a line, share of LINE
MOST_LABELS = 5  # of an axis


@dataclass(frozen=True, slots=True)
class Forest:
    """What stands where: columns of a table. A panel for each of `rows` and `columns`, a line for each of `lines`."""

    metric: str
    lines: str
    rows: str
    columns: str
    marks: str  # up to two on a line, the first filled, the second hollow
    xlabel: str = ""
    zero: str = ""  # what 0 stands for
    known: Sequence[Hashable] = ()  # that come first, in this order
    called: Mapping[Any, str] = field(default_factory=dict)  # by another name


def draw(table: pd.DataFrame, forest: Forest, caption: str, look_of: Callable[[str], Look] = look) -> Figure:
    """The figure of a table of intervals; the panels of a column have one axis."""
    rows, columns, lines, marks = (
        in_order(table[name], forest.known) for name in (forest.rows, forest.columns, forest.lines, forest.marks)
    )
    with mpl.rc_context(RC | {"font.size": SIZE, "axes.labelsize": SIZE, "legend.fontsize": SIZE}):
        left = inches(map(str, lines), SIZE) + 0.65
        figure, grid = sheet(
            len(rows),
            len(columns),
            LINE * len(lines) + 0.08,
            0.25,
            caption,
            left=left,
            gap=0.3,
            row_gap=0.22,
            below=0.95,
        )
        for panels, row in zip(grid, rows, strict=True):
            for axes, column in zip(panels, columns, strict=True):
                own = table[(table[forest.rows] == row) & (table[forest.columns] == column)]
                _panel(axes, own, forest, lines, marks, look_of)
                axes.tick_params(labelleft=column == columns[0], labelbottom=row == rows[-1], left=False)
            panels[0].set_ylabel(forest.called.get(row, str(row)), weight="bold")
        for number, column in enumerate(columns):
            of_column = [panels[number] for panels in grid]
            _one_axis(of_column, table[table[forest.columns] == column], forest)
            of_column[0].set_title(
                f"{forest.columns} {forest.called.get(column, f'{column}')}", fontsize=SIZE, weight="bold"
            )
            of_column[-1].set_xlabel(forest.xlabel)
        if len(marks) > 1:
            _below(figure, grid[-1][0], [forest.called.get(mark, str(mark)) for mark in marks])
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, forest: Forest, lines: Sequence[Hashable], marks: Sequence[Hashable],
    look_of: Callable[[str], Look],
) -> None:  # fmt: skip
    if forest.zero:
        axes.axvline(0, color="black", linewidth=1, zorder=1)
    for height, line in enumerate(lines):
        for number, mark in enumerate(marks):
            own = table[(table[forest.lines] == line) & (table[forest.marks] == mark)]
            at = height + APART * (number - (len(marks) - 1) / 2)
            for value in own[forest.metric]:
                dot(axes, value, at, look_of(str(line)).color, hollow=number > 0)
    axes.set_yticks(range(len(lines)), list(map(str, lines)))
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def dot(axes: Axes, value: Interval, height: float, color: str, hollow: bool = False) -> None:
    """An estimate and its interval on a line."""
    half = np.nan_to_num(value.half_width)
    axes.hlines(height, value.mean - half, value.mean + half, color=color, linewidth=1.5, alpha=0.75, zorder=2)
    axes.plot(
        [value.mean], [height], "o", markersize=5, markeredgecolor=color, markeredgewidth=1.2,
        markerfacecolor="white" if hollow else color, zorder=3,
    )  # fmt: skip


def _one_axis(column: Sequence[Axes], table: pd.DataFrame, forest: Forest) -> None:
    """One x axis for the panels of a column; changes beyond MOST_LINEAR % make it logarithmic beyond LINEAR %."""
    far = bool(forest.zero) and max(abs(value.mean) for value in table[forest.metric]) > MOST_LINEAR
    for axes in column:
        if far:
            axes.set_xscale("symlog", linthresh=LINEAR, linscale=LINSCALE)
            axes.xaxis.set_major_locator(FixedLocator([-100, 0, 100, 1000, 10_000, 100_000]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(MOST_LABELS))
    lows, highs = zip(*(axes.get_xlim() for axes in column), strict=True)
    for axes in column:
        axes.set_xlim(min(lows), max(highs))


def _below(figure: Figure, corner: Axes, marks: Sequence[str]) -> None:
    """What the marks mean, below the axes at the left."""
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=5, markeredgecolor="#444444", markeredgewidth=1.2,
               markerfacecolor="white" if number else "#444444", label=mark)
        for number, mark in enumerate(marks)
    ]  # fmt: skip
    place = corner.get_position()
    height = figure.get_figheight()
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(place.x0, place.y0 - 0.52 / height), ncols=len(marks),
        borderaxespad=0, handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
