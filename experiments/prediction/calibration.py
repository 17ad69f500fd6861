"""How well predicted distributions fit answers: the CRPS, exactly, and how often and how widely intervals hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sim.prediction import Distribution

Floats = NDArray[np.float64]
INTERVALS = {"coverage50": (0.25, 0.75), "coverage": (0.05, 0.95)}  # of the quantiles at these levels
WIDTH = "width"  # of the second, tokens


def crps(told: Distribution, answers: Iterable[float]) -> Floats:
    """The continuous ranked probability score of each of `answers`, tokens: the integral of (F(x) - [answer <= x])^2.

    Of a certain length it is how far the answer is from it. Exact: between two points F is a straight line.
    """
    lengths = np.array([told.lengths[0], *told.lengths, told.lengths[-1]])
    levels = np.array([0.0, *told.levels, 1.0])
    widths, low, high = np.diff(lengths), levels[:-1], levels[1:]
    below = np.concatenate([[0.0], np.cumsum(widths * _square(low, high))])  # of F^2 up to each point
    above = np.concatenate([np.cumsum((widths * _square(1 - low, 1 - high))[::-1])[::-1], [0.0]])  # of (1 - F)^2
    each = np.asarray(list(answers), dtype=float)
    inside = np.clip(each, lengths[0], lengths[-1])
    at = np.clip(np.searchsorted(lengths, inside, side="right") - 1, 0, len(widths) - 1)
    past = inside - lengths[at]
    share = np.divide(past, widths[at], out=np.zeros_like(past), where=widths[at] > 0)
    here = low[at] + share * (high - low)[at]
    left, right = past * _square(low[at], here), past * _square(1 - low[at], 1 - here)
    return np.asarray(below[at] + left + above[at] - right + np.abs(each - inside))


def _square(low: Floats, high: Floats) -> Floats:
    """The mean of the square on a straight line from `low` to `high`."""
    return (low * low + low * high + high * high) / 3


def fits(told: Distribution, answers: Sequence[float]) -> dict[str, float]:
    """The means over `answers` of their CRPS and of whether each interval holds them, and the wider one's width."""
    found = {"crps": float(crps(told, answers).mean())}
    for name, (low, high) in INTERVALS.items():
        ends = told.quantile(low), told.quantile(high)
        found[name] = float(np.mean([ends[0] <= one <= ends[1] for one in answers]))
        found[WIDTH] = ends[1] - ends[0]
    return found


def others(answers: Sequence[float]) -> dict[str, float]:
    """The same of each of `answers`, where the others are what is predicted of it: what knowing the prompt gives.

    Of n others the CRPS is 1 + 1/n times that of the law that they are from.
    """
    each = [
        fits(Distribution.of_atoms([*answers[:left_out], *answers[left_out + 1 :]]), [answers[left_out]])
        for left_out in range(len(answers))
    ]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}
