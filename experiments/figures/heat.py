"""Heat maps of any metric over two settings, a panel for each value of others."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from experiments.figures.charts import DECADE, GAP, LEFT, SIZE, grid_of, panel_of, values_of
from experiments.figures.chosen import Chosen, axis_name
from experiments.figures.drawing import LETTERS_PER_INCH
from experiments.figures.place import inches
from experiments.figures.points import VALUE
from experiments.figures.style import RC, plain_log_ticks
from experiments.tables.labels import shown
from experiments.tables.stats import Interval

CELL = 0.42  # inches, the height of a row
LEAST = 4  # rows, that the bar of colours is as high as
DARK = 0.55  # of a colour's luminance: below it stands white text
BAR = 1.5  # inches, for the bar of colours


def draw(points: pd.DataFrame, chosen: Chosen, label: str, caption: str, zero: str = "", scale: str = "auto") -> Figure:
    """A metric by two settings: a cell's colour is the mean, in it stand the mean and half of its interval.

    Of changes from `zero` the colours part at 0, and those whose interval leaves out 0 are bold.
    """
    names = {axis: values_of(points, name) for axis, name in (("x", chosen.x), ("y", chosen.y))}
    means = [one.mean for one in points[VALUE]]
    norm = _colours(means, zero, scale)
    words = max(inches(map(shown, names["y"]), SIZE) + 0.5, LEFT)
    columns = len(values_of(points, chosen.col))
    wide = (10.0 - words - BAR - (columns - 1) * GAP) / columns / len(names["x"])
    steep = inches(map(shown, names["x"]), SIZE) > 0.9 * wide
    room = 0.75 * inches(map(shown, names["x"]), SIZE) if steep else 0.0
    colours = mpl.colormaps["RdBu_r" if zero else "viridis_r"]
    with mpl.rc_context(RC | {"font.size": SIZE, "axes.grid": False}):
        grid = grid_of(points, chosen, caption, BAR, CELL * max(LEAST, len(names["y"])), left=words, steep=room)
        for (row, column), axes in grid.axes.items():
            _cells(axes, panel_of(points, chosen, row, column), chosen, names, (colours, norm), bool(zero), wide)
            for tick in axes.get_xticklabels() if steep else ():
                tick.set(rotation=45, ha="right", rotation_mode="anchor")
            axes.tick_params(labelleft=column == grid.columns[0], length=0)
            if column == grid.columns[0]:
                axes.set_ylabel(axis_name(chosen.y))
            if row == grid.rows[-1]:
                axes.set_xlabel(axis_name(chosen.x))
        right = grid.first().get_position()
        bottom = grid.axes[grid.rows[-1], grid.columns[-1]].get_position()
        bar = grid.figure.add_axes((right.x1 + 0.02, bottom.y0, 0.015, right.y1 - bottom.y0))
        said = f"change of {label.partition(' (')[0]} (%)" if zero else label
        said = textwrap.fill(said, max(8, int((right.y1 - bottom.y0) * grid.figure.get_figheight() * LETTERS_PER_INCH)))
        grid.figure.colorbar(mpl.cm.ScalarMappable(norm, colours), cax=bar, label=said)
        if isinstance(norm, LogNorm):
            plain_log_ticks(bar.yaxis)
    return grid.figure


def _colours(means: Sequence[float], zero: str, scale: str) -> Normalize:
    """How means become colours: by logarithm where they span a decade, changes by their distance from 0."""
    low, high = min(means), max(means)
    if zero:
        most = max(abs(low), abs(high), 1e-9)
        return TwoSlopeNorm(0, -most, most)
    if scale == "log" and low <= 0:
        raise ValueError("no logarithmic colours: a mean is not above 0")
    if low > 0 and scale != "linear" and (scale == "log" or high > DECADE * low):
        return LogNorm(low, high)
    return Normalize(low, high)


def _cells(
    axes: Axes, own: pd.DataFrame, chosen: Chosen, names: Mapping[str, list[Any]], colours: tuple[Any, Normalize],
    changes: bool, wide: float,
) -> None:  # fmt: skip
    found: dict[tuple[str, str], Interval] = {
        (shown(x), shown(y)): value for x, y, value in zip(own[chosen.x], own[chosen.y], own[VALUE], strict=True)
    }
    for (at, x), (height, y) in product(enumerate(names["x"]), enumerate(names["y"])):
        value = found.get((shown(x), shown(y)))
        if value is None:
            continue
        colour = colours[0](colours[1](value.mean))
        axes.add_patch(mpl.patches.Rectangle((at - 0.5, height - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        text = written(value, changes)
        if inches([text], SIZE - 1) > 0.95 * wide:
            text = text.replace(" ± ", "\n± ")
        light = float(np.dot(colour[:3], (0.299, 0.587, 0.114)))
        axes.text(
            at, height, text, ha="center", va="center", fontsize=SIZE - 1 if "\n" not in text else SIZE - 2.5,
            color="white" if light < DARK else "black",
            weight="bold" if changes and abs(value.mean) > value.half_width else "normal",
        )  # fmt: skip
    axes.set_xlim(-0.5, len(names["x"]) - 0.5)
    axes.set_ylim(-0.5, len(names["y"]) - 0.5)
    axes.set_xticks(range(len(names["x"])), list(map(shown, names["x"])))
    axes.set_yticks(range(len(names["y"])), list(map(shown, names["y"])))
    axes.spines[:].set_visible(False)


def written(value: Interval, sign: bool = False) -> str:
    """A mean and half of its interval, with as many decimals as its interval has meaning."""
    if not value.half_width > 0:
        return f"{value.mean:{'+' * sign}.3g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(value.half_width))))
    return f"{value.mean:{'+' * sign}.{decimals}f} ± {value.half_width:.{decimals}f}"
