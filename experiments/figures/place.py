"""Room on a figure: how wide words are, legends beside the axes, positions and ticks of values, points side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from experiments.figures.stored import in_order
from experiments.figures.style import LOOKS, OTHER_COLORS, OTHER_MARKERS, Look, ordered
from experiments.tables.labels import shown

WIDE = 8.0  # the largest value over the smallest, from which on an axis of numbers is logarithmic
HANDLE = 0.75  # inches of a legend's line, and what stands around it
SHIFT, MOST_SPREAD = 0.075, 0.6  # inches between neighbours at one value; of all, share of the gap between values
DASHES: tuple[tuple[float, ...], ...] = ((), (4, 2), (1, 1.5), (6, 1.5, 1, 1.5))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", *OTHER_MARKERS)
STEEP = 45  # degrees of words that do not fit beside one another


def inches(texts: Iterable[str], size: float) -> float:
    """How wide the widest of `texts` is, in the default font of `size` points."""
    return max((TextPath((0, 0), text, size=size).get_extents().width / 72 for text in texts if text), default=0.0)


def looks_of(values: Iterable[Any], setting: str = "policy") -> dict[Any, Look]:
    """How each value is drawn, in order: policies as everywhere, numbers by a scale of colours, all told apart."""
    found = list(dict.fromkeys(values))
    numbers = len(found) > 1 and all(isinstance(value, int | float) for value in found)
    found = list(ordered(map(str, found))) if setting == "policy" else sorted(found) if numbers else found
    looks: dict[Any, Look] = {}
    others = 0
    for number, value in enumerate(found):
        if str(value) in LOOKS:
            looks[value] = LOOKS[str(value)]
            continue
        colour = OTHER_COLORS[others % len(OTHER_COLORS)]
        if numbers:
            colour = to_hex(mpl.colormaps["viridis"](0.9 * number / (len(found) - 1)))
        dashes = DASHES[others // len(OTHER_COLORS) % len(DASHES)]
        looks[value] = Look(colour, MARKERS[(others + others // len(MARKERS)) % len(MARKERS)], dashes)
        others += 1
    return looks


def legend_inches(names: Iterable[str], title: str, size: float) -> float:
    """The room that `beside` needs at the right of the axes."""
    return max(HANDLE + inches(names, size), inches([title], size)) + 0.35


def beside(axes: Axes, looks: Mapping[Any, Look], title: str = "", points: bool = True) -> None:
    """A legend at the right of `axes`, outside the data."""
    handles = [
        Line2D([], [], label=shown(value), **how.line(), **(how.points() if points else {}))
        for value, how in looks.items()
    ]
    axes.legend(
        handles=handles, title=title or None, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0,
        handlelength=2.8, labelspacing=0.5, alignment="left",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the values of a setting stand on an axis: numbers as they are or by logarithms, words side by side."""

    values: tuple[Any, ...]
    log: bool
    words: bool

    @classmethod
    def of(cls, column: pd.Series, known: Sequence[Hashable] = ()) -> Scale:
        """Of the different values of a setting."""
        found = list(dict.fromkeys(column))
        if any(isinstance(value, str) or value is None or value != value for value in found):
            return cls(tuple(in_order(found, known)), log=False, words=True)
        numbers = sorted(float(value) for value in found)
        return cls(tuple(numbers), numbers[0] > 0 and numbers[-1] > WIDE * numbers[0], words=False)

    def at(self, value: Any) -> float:
        """The place of a value, in units of the axis."""
        if self.words:
            return float([shown(one) for one in self.values].index(shown(value)))
        return math.log10(value) if self.log else float(value)

    def gap(self) -> float:
        """The smallest distance between two neighbours."""
        places = sorted(map(self.at, self.values))
        return min((b - a for a, b in itertools.pairwise(places)), default=1.0)

    def limits(self) -> tuple[float, float]:
        """The ends of the axis, with room for points side by side."""
        places = [*map(self.at, self.values)]
        room = max(0.6 * self.gap(), 0.04 * (max(places) - min(places)))
        return min(places) - room, max(places) + room

    def shifts(self, count: int, width: float) -> list[float]:
        """How far each of `count` points at one value stands from it, on an axis of `width` inches."""
        low, high = self.limits()
        step = min(SHIFT * (high - low) / width, MOST_SPREAD * self.gap() / max(1, count - 1))
        return [(number - (count - 1) / 2) * step for number in range(count)]

    def ticks(self, axes: Axes, width: float, size: float) -> None:
        """Label the values, as many as there is room for; words that are long stand steep."""
        axes.set_xlim(*self.limits())
        low, high = self.limits()
        per_inch = (high - low) / width
        labels = [shown(value) for value in self.values]
        kept: list[tuple[float, str]] = []
        for value, label in zip(self.values, labels, strict=True):
            room = per_inch * (inches([label], size) + 0.08)
            if self.words or not kept or self.at(value) - kept[-1][0] > room:
                kept.append((self.at(value), label))
        axes.set_xticks([place for place, _ in kept], [label for _, label in kept])
        axes.grid(visible=False, axis="x")
        if self.is_steep(width, size):
            for tick in axes.get_xticklabels():
                tick.set(rotation=STEEP, ha="right", rotation_mode="anchor")

    def is_steep(self, width: float, size: float) -> bool:
        """Whether the words would not fit beside one another."""
        low, high = self.limits()
        return self.words and inches(map(shown, self.values), size) > 0.9 * self.gap() * width / (high - low)

    def below(self, width: float, size: float) -> float:
        """Inches that the labels of the axis need below it, its name not counted."""
        return 0.75 * inches(map(shown, self.values), size) + 0.15 if self.is_steep(width, size) else 0.25
