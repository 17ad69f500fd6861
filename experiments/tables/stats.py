"""Means over seeds, paired differences and changes in percent, with 95 % intervals: docs/statistics.md says why these.

A change is the ratio of two means over the same seeds, less 1, in percent. Its interval is the jackknife's: from the
estimates without each seed in turn. Of a mean, or of a paired difference, the jackknife is Student's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
EXCESS_KURTOSIS = 0.5  # of what seeds give, taken for the degrees of freedom; chosen by tokenyard evaluate coverage
OBSERVED = ("response_time_mean", "response_time_max", "throughput_requests")  # what tells observations apart
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the half width of its 95 % interval (NaN with fewer than two observations)."""

    mean: float
    half_width: float

    def __format__(self, spec: str) -> str:
        if np.isnan(self.mean):
            return "-"
        shown = format(self.mean, spec)
        return shown if np.isnan(self.half_width) else f"{shown} ± {format(self.half_width, spec.lstrip('+'))}"


def quantile(count: int) -> float:
    """How many standard errors of `count` observations are half of the interval; NaN for fewer than two.

    Student's, at the degrees of freedom that a variance has which was estimated from values of that excess kurtosis
    (Satterthwaite's): 3.3 in place of 4 for five seeds.
    """
    if count < 2:
        return float("nan")
    from scipy.special import stdtrit  # half a second to load, and a single run has no interval

    return float(stdtrit(_degrees(count), 0.5 + CONFIDENCE / 2))


def _degrees(count: int) -> float:
    """Of freedom, of the variance of `count` observations."""
    return 2 / (2 / (count - 1) + EXCESS_KURTOSIS / count)


def p_value(estimate: Interval, count: int) -> float:
    """How likely `count` observations give an estimate at least as far from 0 where there is nothing: two-sided.

    Below 0.05 where the interval leaves out 0. NaN without an interval.
    """
    if count < 2 or np.isnan(estimate.half_width):
        return float("nan")
    from scipy.special import stdtr

    errors = abs(estimate.mean) * quantile(count) / estimate.half_width
    return float(2 * stdtr(_degrees(count), -errors))


def holm(values: ArrayLike) -> Floats:
    """The p-values of one family, corrected for their number by Holm's step-down: below 0.05, not one is by chance.

    That is said of all of them together, with 95 %, whatever they have to do with one another. NaN stays, uncounted.
    """
    given = np.asarray(values, dtype=float)
    order = np.argsort(given)[: np.count_nonzero(~np.isnan(given))]
    corrected = np.full(given.shape, np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)))
    return corrected


def jackknife(left_out: ArrayLike) -> Floats:
    """The half width of the interval of an estimate, from the estimates without each observation (first axis).

    NaN where no observation makes a difference: all are alike to the last bit, and tell nothing of how others would be.
    """
    values = np.asarray(left_out, dtype=float)
    half = quantile(len(values)) * np.sqrt((len(values) - 1) * values.var(axis=0))
    return np.where((values == values[0]).all(axis=0), np.nan, half)


def ratios(ours: ArrayLike, theirs: ArrayLike) -> tuple[Floats, Floats]:
    """The changes in percent of means over the first axis, and the same without each of its observations in turn."""
    above, below = (np.asarray(values, dtype=float) for values in (ours, theirs))
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = 100 * (above.sum(axis=0) / below.sum(axis=0) - 1)
        return whole, 100 * ((above.sum(axis=0) - above) / (below.sum(axis=0) - below) - 1)


def interval(values: ArrayLike) -> Interval:
    """The mean of `values`, NaN left out, with its interval."""
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(float("nan"), float("nan"))
    left_out = (known.sum() - known) / max(1, len(known) - 1)
    return Interval(float(known.mean()), float(jackknife(left_out)))


def change(ours: ArrayLike, theirs: ArrayLike, weights: ArrayLike | None = None) -> Interval:
    """By how many percent the mean of `ours` differs from that of `theirs`, observed in pairs.

    Of two axes the second are cells: the sum of their changes times their `weights`, the mean without any. A pair that
    is not known (NaN) is left out, and one that is there twice, to the last bit, is one observation.
    """
    both = np.stack([np.asarray(values, dtype=float) for values in (ours, theirs)], axis=-1)
    both = both.reshape(len(both), -1, 2)
    both = np.unique(both[~np.isnan(both).any(axis=(1, 2))], axis=0)
    if not len(both):
        return Interval(float("nan"), float("nan"))
    factors = np.full(both.shape[1], 1 / both.shape[1]) if weights is None else np.asarray(weights, dtype=float)
    whole, left_out = ratios(both[..., 0], both[..., 1])
    return Interval(float(whole @ factors), float(jackknife(left_out @ factors)))


def distinct(runs: pd.DataFrame) -> pd.DataFrame:
    """`runs` without those whose results repeat another's to the last bit: the same requests, replayed once more.

    They are one observation, however many seeds it was made under.
    """
    seen = [name for name in OBSERVED if name in runs]
    return runs.drop_duplicates(seen) if seen else runs
