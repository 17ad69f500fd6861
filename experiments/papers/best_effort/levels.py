"""Intervals of two levels: over seeds of traces, and over networks that were trained with seeds of their own.

Networks and traces are crossed: each network replays every trace. What is told is the mean over both, and the half
width of its interval the root of the sum of two squares: the jackknife's over traces, of the means over networks, and
over networks, of the means over traces. What one network makes of one trace alone counts in both, so it is a little too
wide. What has no networks, a rule, has the first level alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.tables.stats import Interval, jackknife

Floats = NDArray[np.float64]


def told(estimate: Callable[[Floats, Floats], float], ours: Floats, theirs: Floats) -> Interval:
    """An estimate from two arrays, traces first and networks second (one for what has none), paired by traces."""
    whole = estimate(ours, theirs)
    traces = [estimate(_without(ours, at, 0), _without(theirs, at, 0)) for at in range(len(ours))]
    half = float(jackknife(traces)) if len(traces) > 1 else float("nan")
    return Interval(
        whole, _together(half, _networks(estimate, ours, theirs), _networks(_swapped(estimate), theirs, ours))
    )


def mean(ours: Floats) -> Interval:
    """The mean, over traces and networks."""
    return told(lambda values, _: float(values.mean()), ours, ours[:, :1])


def percent(ours: Floats, theirs: Floats) -> Interval:
    """By how many percent the mean of `ours` is above that of `theirs`."""
    return told(lambda one, other: 100 * float(one.mean() / other.mean() - 1), ours, theirs)


def times(ours: Floats, theirs: Floats) -> Interval:
    """How many times the mean of `theirs` that of `ours` is."""
    return told(lambda one, other: float(one.mean() / other.mean()), ours, theirs)


def _networks(estimate: Callable[[Floats, Floats], float], ours: Floats, theirs: Floats) -> float:
    """The half width that comes of the networks of `ours`; 0 where it has one alone."""
    count = ours.shape[1]
    if count < 2:
        return 0.0
    return float(jackknife([estimate(_without(ours, at, 1), theirs) for at in range(count)]))


def _swapped(estimate: Callable[[Floats, Floats], float]) -> Callable[[Floats, Floats], float]:
    return lambda ours, theirs: estimate(theirs, ours)


def _without(values: Floats, at: int, axis: int) -> Floats:
    return np.delete(values, at, axis=axis)


def _together(*halves: float) -> float:
    """NaN, of estimates that no trace or no network changes, counts as nothing beside others."""
    known = [half for half in halves if half and not math.isnan(half)]
    return math.hypot(*known) if known else float("nan")
