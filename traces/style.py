"""How the traces' figures look: sizes and colours, a sheet of panels, distribution functions, plain ticks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

RC: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
BLUE, PALE, ORANGE, GREY = "#0072b2", "#9ecae9", "#d55e00", "#777777"
COLORS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#5f8700", "#6b4c9a")
POINTS = 1000  # of a distribution function
DAY = 86400.0

Panel = Callable[[Axes], None]


def sheet(panels: Sequence[Panel], title: str, path: Path) -> None:
    """All panels, two in a row, under `title`; written whole or not at all."""
    rows = (len(panels) + 1) // 2
    width, row, gap, left, right, top, bottom = 10.0, 2.7, 0.95, 0.75, 0.2, 0.75, 0.6  # inches
    height = top + rows * row + (rows - 1) * gap + bottom
    with rc_context(RC):
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        figure.text(0.12 / width, 1 - 0.15 / height, title, fontsize=11.5, va="top")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        figure.subplots_adjust(
            left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height,
            wspace=2 * gap / (width - left - right - gap), hspace=gap / row,
        )  # fmt: skip
        for panel, place in zip(panels, axes, strict=False):
            panel(place)
        for place in axes[len(panels) :]:
            place.remove()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
        temporary.replace(path)


def distribution(axes: Axes, values: np.ndarray, label: str, color: str, style: str = "-") -> None:
    """Its distribution function, at no more than POINTS places."""
    ordered = np.sort(values)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(POINTS, len(ordered))).astype(int))
    axes.step(
        ordered[places], (places + 1) / len(ordered), where="post", color=color, linestyle=style, linewidth=1.5,
        label=label,
    )  # fmt: skip


def plain_ticks(axes: Axes, which: str) -> None:
    """Label a logarithmic axis 1, 10, 100, 1k ..., and between where it is short."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    wide = high / low > 300
    axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def time_unit(span: float) -> tuple[str, float]:
    """The unit in which `span` seconds are a handy number, and its seconds."""
    for unit, seconds in (("days", DAY), ("hours", 3600.0), ("minutes", 60.0)):
        if span >= 3 * seconds:
            return unit, seconds
    return "s", 1.0
