"""Fit curves to samples, and say how far they are from samples that the fit did not see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.spatial import ConvexHull

from profiles.curve import Curve
from profiles.point import PHASES, Point, within

LEFT_OUT_SHARE = 0.25
KNOT_RATIO = 1.2
REACH = 0.25
FIGURES = 6


@dataclass(frozen=True, slots=True)
class Fitted:
    """Two curves, the table they were fitted to, and their residuals per phase.

    `table` has one row a point: phase, batch, new, computed, tokens, attended, minimum and median (seconds), passes,
    left_out, fitted (seconds).
    """

    prefill: Curve
    decode: Curve
    table: pd.DataFrame
    residuals: dict[str, Any]

    @property
    def fixed_seconds(self) -> float:
        """The cost that prefill and decode share in one step: a decode step continued to no jobs.

        So a decode job counts in a mixed step what one more job counts in a decode step. Never more than the
        cheapest prefill pass.
        """
        return rounded(min(self.decode.intercept(), self.prefill.intercept()))


def rounded(value: float) -> float:
    """`value` with six significant digits, which keeps the order of values."""
    return float(f"{value:.{FIGURES}g}")


def summarize(samples: pd.DataFrame, window: int = 0, windowed: float = 0.0) -> pd.DataFrame:
    """One row a point, with the minimum and the median of its passes (seconds), from rows of point and seconds.

    Where a share `windowed` of the layers attends to a `window`, what is attended to is the mean over the layers.

    Curves are fitted to the median. The minimum is what the device can do; the median is what it does, allocator and
    all, and passes in which the machine was disturbed were rejected by their anchor before.
    """
    keys = ["phase", "batch", "new", "computed"]
    table = samples.groupby(keys, sort=True)["seconds"].agg(minimum="min", median="median", passes="count")
    table = table.reset_index()
    points = [Point(*row) for row in table[keys].itertuples(index=False, name=None)]
    attended = [
        p.attended + windowed * (within(p, window).attended - p.attended) if window else p.attended for p in points
    ]
    return table.assign(tokens=[p.tokens for p in points], attended=attended)


def interior(table: pd.DataFrame) -> np.ndarray:
    """Which rows of one phase lie strictly inside the measured region of (log tokens, log mean context)."""
    plane = np.log(np.column_stack([table["tokens"], table["attended"] / table["tokens"]]))
    hull = ConvexHull(plane)
    distances = plane @ hull.equations[:, :-1].T + hull.equations[:, -1]
    return np.asarray(distances.max(axis=1) < -1e-6)


def leave_out(table: pd.DataFrame, seed: int, share: float = LEFT_OUT_SHARE) -> np.ndarray:
    """A seeded choice of `share` of the interior rows; rows at the edge of the region are never chosen."""
    candidates = np.flatnonzero(interior(table))
    chosen = np.random.default_rng(seed).permutation(candidates)[: round(share * len(candidates))]
    left_out = np.zeros(len(table), dtype=bool)
    left_out[chosen] = True
    return left_out


def choose_knots(tokens: Iterable[float], ratio: float = KNOT_RATIO) -> tuple[int, ...]:
    """The measured token counts, thinned to steps of `ratio` or more; the first and the last are kept."""
    distinct = sorted({int(n) for n in tokens})
    knots = distinct[:1]
    for n in distinct[1:-1]:
        if n >= ratio * knots[-1] and ratio * n <= distinct[-1]:
            knots.append(n)
    return (*knots, *distinct[-1:]) if len(distinct) > 1 else tuple(knots)


def slope_knots(knots: Sequence[int], tokens: np.ndarray, context: np.ndarray) -> tuple[int, ...]:
    """The knots at which the price of context can be told: those measured far enough into it, and both ends."""
    far = set(tokens[context >= REACH * context.max()].tolist())
    return (knots[0], *(knot for knot in knots[1:-1] if knot in far), knots[-1])


def ramps(knots: Sequence[int], tokens: np.ndarray) -> np.ndarray:
    """Columns whose nonnegative sums are the never-falling functions that are linear between `knots`."""
    rises = (np.clip((tokens - left) / (right - left), 0, 1) for left, right in pairwise(knots))
    return np.column_stack([np.ones(len(tokens)), *rises])


def hats(knots: Sequence[int], tokens: np.ndarray) -> np.ndarray:
    """Columns whose nonnegative sums are the nonnegative functions that are linear between `knots`."""
    return np.column_stack([np.interp(tokens, knots, row) for row in np.eye(len(knots))])


def nonnegative_fit(base: np.ndarray, slope: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The nonnegative weights of the columns that give `seconds` with the least squared relative error."""
    design = np.hstack([base, slope]) / seconds[:, None]
    scale = np.linalg.norm(design, axis=0)
    scale[scale == 0] = 1.0
    return np.asarray(nnls(design / scale, np.ones(len(seconds)))[0] / scale)


def fit_curve(name: str, tokens: np.ndarray, attended: np.ndarray, seconds: np.ndarray, rising: bool = True) -> Curve:
    """The curve with the least squared relative error, by nonnegative least squares on increments between knots.

    If it need not be `rising` with the tokens, its base is what was measured at each knot.
    """
    knots = choose_knots(tokens)
    if len(knots) < 2:
        raise ValueError(f"{name}: a fit needs two token counts at least, got {knots}")
    context = attended / tokens
    priced = slope_knots(knots, tokens, context)
    columns = ramps(knots, tokens) if rising else hats(knots, tokens)
    weights = nonnegative_fit(columns, ramps(priced, tokens) * context[:, None], seconds)
    base, price = weights[: len(knots)], np.cumsum(weights[len(knots) :])
    base = np.cumsum(base) if rising else base
    slope = np.interp(knots, priced, price)
    return Curve(
        name,
        knots,
        tuple(rounded(value) for value in base),
        tuple(rounded(value) for value in slope),
        max_context=rounded(float(context.max())),
    )


def relative_errors(table: pd.DataFrame) -> dict[str, float | int]:
    """P50, P90 and largest |fitted - median| / median of the rows, with their number."""
    errors = ((table["fitted"] - table["median"]).abs() / table["median"]).to_numpy()
    if not len(errors):
        return {"points": 0}
    p50, p90 = np.quantile(errors, [0.5, 0.9])
    return {"points": len(errors), "p50": rounded(p50), "p90": rounded(p90), "max": rounded(errors.max())}


def fit(name: str, samples: pd.DataFrame, seed: int, window: int = 0, windowed: float = 0.0) -> Fitted:
    """Fit prefill and decode of the profile `name` to `samples` (phase, batch, new, computed, seconds).

    With a `window` for a share of the layers the curves are of what is attended to on average (`summarize`).

    The curves are those of the training points alone, so the left-out errors are those of the very curves returned.
    """
    curves, parts, residuals = {}, [], {}
    table = summarize(samples, window, windowed)
    for offset, phase in enumerate(PHASES):
        rows = table[table["phase"] == phase].reset_index(drop=True)
        rows["left_out"] = leave_out(rows, seed + offset)
        train = rows[~rows["left_out"]]
        tokens, attended, seconds = (train[key].to_numpy(dtype=float) for key in ("tokens", "attended", "median"))
        curve = fit_curve(f"{name}, {phase}", tokens, attended, seconds, rising=phase == "prefill")
        curves[phase] = curve
        pairs = zip(rows["tokens"].tolist(), rows["attended"].tolist(), strict=True)
        rows["fitted"] = [curve.time(*pair) for pair in pairs]
        residuals[phase] = {
            "left_out": relative_errors(rows[rows["left_out"]]),
            "training": relative_errors(rows[~rows["left_out"]]),
        }
        parts.append(rows)
    return Fitted(curves["prefill"], curves["decode"], pd.concat(parts, ignore_index=True), residuals)
