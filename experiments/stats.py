"""Means over seeds and paired differences between policies, with Student's t confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the half width of its confidence interval (NaN with fewer than two values)."""

    mean: float
    half_width: float

    def __format__(self, spec: str) -> str:
        shown = format(self.mean, spec)
        return shown if np.isnan(self.half_width) else f"{shown} ± {format(self.half_width, spec.lstrip('+'))}"


def interval(values: pd.Series, confidence: float = 0.95) -> Interval:
    """The mean of `values` and the half width of its two-sided t interval."""
    count = len(values)
    if count < 2:
        return Interval(float(values.mean()) if count else float("nan"), float("nan"))
    quantile = float(stdtrit(count - 1, 0.5 + confidence / 2))
    return Interval(float(values.mean()), quantile * float(values.std(ddof=1)) / float(np.sqrt(count)))


def paired_difference(table: pd.DataFrame, reference: pd.DataFrame, metric: str) -> pd.Series:
    """`metric` in `table` less that in `reference`, seed by seed; seeds that one of them lacks are left out."""
    ours, theirs = (part.set_index("seed")[metric] for part in (table, reference))
    if not ours.index.is_unique or not theirs.index.is_unique:
        raise ValueError(f"cannot pair by seed: a seed stands twice, in {sorted(table['seed'])}")
    return (ours - theirs).dropna()
