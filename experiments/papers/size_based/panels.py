"""Panels of curves with intervals, each beside what a paper states: a band, a value or a curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from experiments.figures.style import RC, Look, plain_log_ticks, save, sheet
from experiments.tables.stats import Interval

BARS = "Bars: 95 % intervals over seeds (docs/statistics.md)."
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#7f4f24", "#56b4e9", "#6b4c9a", "#d55e00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "*")
PAPER = "#b0b0b0"
APART = 0.14  # of an axis that two of its ticks are apart, so that their numbers are
FEW = 8  # values on an axis, each of which is named

Curve = Sequence[tuple[float, Interval]]


@dataclass(frozen=True)
class Panel:
    """One panel: `curves` by name; `band` is the paper's range of y, `paper` its curves; `words` name the x values."""

    title: str
    xlabel: str
    ylabel: str
    curves: Mapping[str, Curve]
    band: tuple[float, float] | None = None
    paper: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    words: Sequence[str] = ()
    level: float | None = None  # a line: where there is no difference
    log: str = ""  # x, y or xy
    called: str = "the paper's range"
    top: float | None = None  # of y: room for a legend above the curves


def requests_of(table: pd.DataFrame) -> str:
    """How many requests the runs of `table` have, to be told."""
    return " or ".join(f"{count:,.0f}" for count in sorted(table["trace.requests"].unique()))


def draw(
    panels: Sequence[Panel],
    caption: str,
    stem: Path,
    right: float = 0.2,
    inches: float = 2.9,
    bars: str = BARS,
    beside: bool = False,
    among: Sequence[str] = (),
) -> list[Path]:
    """Draw the panels side by side, with a legend in each that has other curves than the one before it; the files.

    `bars` says at the caption's end what the bars are. With `beside` there is one legend, in the margin at the `right`.
    A curve looks alike in all figures that are drawn `among` the same names.
    """
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        below = 1.15 if any(panel.words for panel in panels) else 0.75
        figure, grid = sheet(
            1, len(panels), inches, right, f"{caption} {bars}".rstrip(), left=0.7, gap=0.75, below=below
        )
        names = [*dict.fromkeys([*among, *(name for panel in panels for name in panel.curves)])]
        told: list[str] = []
        for axes, panel in zip(grid[0], panels, strict=True):
            _panel(axes, panel, names)
            if told != (told := axes.get_legend_handles_labels()[1]) and not beside:
                axes.legend(loc="best", handlelength=2.2)
        if beside:
            pairs = [axes.get_legend_handles_labels() for axes in grid[0]]
            handles = {name: handle for both in reversed(pairs) for handle, name in zip(*both, strict=True)}
            shown = [name for name in names if name in handles]
            place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.03, 1.02), "borderaxespad": 0}
            axes.legend([handles[name] for name in shown], shown, handlelength=2.2, **place)
        return save(figure, stem)


def _panel(axes: Axes, panel: Panel, names: Sequence[str]) -> None:
    if panel.band is not None:
        axes.axhspan(*panel.band, color=PAPER, alpha=0.35, linewidth=0, label=panel.called)
    if panel.level is not None:
        axes.axhline(panel.level, color="black", linewidth=0.9, zorder=1)
    for name, curve in panel.curves.items():
        number = names.index(name)
        look = Look(COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)])
        x = [at for at, _ in curve]
        means, halves = ([getattr(value, part) for _, value in curve] for part in ("mean", "half_width"))
        axes.errorbar(x, means, yerr=np.nan_to_num(halves), fmt="none", ecolor=look.color, alpha=0.6, elinewidth=1)
        points: dict[str, Any] = look.points() | {"markersize": 5.5}
        line = look.line() | ({"linestyle": ""} if panel.words else {})
        axes.plot(x, means, **line, **points, label=name, zorder=3)
    for name, points_of in panel.paper.items():
        axes.plot(*zip(*points_of, strict=True), color=PAPER, linestyle="--", linewidth=1.6, label=name)
    if "x" in panel.log:
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis)
    if "y" in panel.log:
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis)
    if panel.words:
        axes.set_xticks(range(len(panel.words)), panel.words, rotation=30, ha="right", rotation_mode="anchor")
        axes.grid(visible=False, axis="x")
    elif len(at := sorted({x for curve in panel.curves.values() for x, _ in curve})) <= FEW:
        room = 0 if "x" in panel.log else (at[-1] - at[0]) * APART
        shown = [x for x, last in zip(at, [*at[1:], math.inf], strict=True) if last - x >= room]
        axes.set_xticks(shown, [f"{x:g}" for x in shown])
        axes.xaxis.set_minor_locator(NullLocator())
    if panel.top is not None:
        axes.set_ylim(top=panel.top)
    axes.set_title(panel.title, fontsize=9.5, weight="bold")
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
