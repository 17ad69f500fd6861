"""An anchor: a fixed point that is timed again and again, so that a machine's drift can be told from what is measured.

A reading is one prefill and some decode steps of a fixed batch and context. What is timed between readings is set
against what they say of the machine's speed then (`seconds_at`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from profiles.point import PHASES

INSTANTS = 100  # at which a stretch of time is looked at
# Variances of a second of the machine's walk that are tried, in the variance of a reading.
WALKED = (0.0, *np.geomspace(1e-6, 10.0, 29).tolist())


class Reading(NamedTuple):
    """What the anchor took at an instant `at` (s): seconds of its prefill and of a decode step."""

    at: float
    prefill: float
    decode: float


def rounded(readings: Iterable[Reading], start: float = 0.0) -> list[list[float]]:
    """The readings as lists for a record, instants from `start` on, times to four digits."""
    return [[round(one.at - start, 2), float(f"{one.prefill:.4g}"), float(f"{one.decode:.4g}")] for one in readings]


def described(readings: Sequence[Reading]) -> dict[str, dict[str, float]]:
    """For each phase the median reading (`seconds`), how far P90 is above P10 (`spread`, a share) and how many."""
    found = {}
    for phase in PHASES:
        seconds = [getattr(one, phase) for one in readings]
        low, middle, high = np.percentile(seconds, [10, 50, 90])
        found[phase] = {
            "seconds": float(f"{middle:.6g}"),
            "spread": float(f"{(high - low) / middle:.3g}"),
            "readings": len(seconds),
        }
    return found


def seconds_at(readings: Sequence[Reading], phase: str, instants: Any) -> np.ndarray:
    """What the anchor of `phase` took at `instants` (s), beyond the first and the last reading as there.

    A single reading is off by several per cent itself. The machine's speed is taken for a random walk that is read with
    noise (in logarithms), how far it walks in a second is what makes the readings the likeliest, and the walk is that
    which is expected of all of them. A machine that does not drift so has one speed, the readings' mean.
    """
    ordered = sorted(readings)
    times = np.array([one.at for one in ordered])
    walk = _smoothed(times, np.log([getattr(one, phase) for one in ordered]))
    return np.exp(np.interp(instants, times, walk))


def _smoothed(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The random walk through noisy `values`: Kalman's filter, then Rauch, Tung and Striebel's smoother."""
    gaps = np.diff(times)
    best = min((_filtered(gaps, values, walked) for walked in WALKED), key=lambda one: one.unlikely)
    walk = best.levels.copy()
    for index in range(len(gaps) - 1, -1, -1):
        carried = best.variances[index] / (best.variances[index] + best.walked * gaps[index])
        walk[index] += carried * (walk[index + 1] - walk[index])
    return walk


class _Filtered(NamedTuple):
    walked: float  # variance of a second of the walk, in that of a reading, as are `variances`
    levels: np.ndarray
    variances: np.ndarray
    unlikely: float  # minus twice the logarithm of the likelihood, but for a constant


def _filtered(gaps: np.ndarray, values: np.ndarray, walked: float) -> _Filtered:
    """What each of `values` and those before it say of the walk there."""
    levels, variances = values.copy(), np.ones(len(values))
    squares = spreads = 0.0
    for index, gap in enumerate(gaps):
        before = variances[index] + walked * gap
        surprise = values[index + 1] - levels[index]
        levels[index + 1] = levels[index] + before / (before + 1) * surprise
        variances[index + 1] = before / (before + 1)
        squares += surprise**2 / (before + 1)
        spreads += math.log(before + 1)
    count = len(gaps)
    return _Filtered(walked, levels, variances, count * math.log(squares / count) + spreads if squares else spreads)


def relative(readings: Sequence[Reading], reference: Mapping[str, float], begin: float, end: float) -> dict[str, float]:
    """For each phase how many times as long as `reference` (s) the anchor took from `begin` to `end`, on average."""
    instants = np.linspace(begin, end, INSTANTS)
    return {phase: float(seconds_at(readings, phase, instants).mean()) / reference[phase] for phase in PHASES}


def corrected(samples: pd.DataFrame, readings: Sequence[Reading]) -> pd.DataFrame:
    """`samples` (phase, seconds, at) as at the anchor's median speed; what was timed becomes `raw_seconds`."""
    reference = described(readings)
    factors = np.ones(len(samples))
    for phase in PHASES:
        rows = (samples["phase"] == phase).to_numpy()
        factors[rows] = seconds_at(readings, phase, samples.loc[rows, "at"]) / reference[phase]["seconds"]
    return samples.assign(raw_seconds=samples["seconds"], seconds=samples["seconds"] / factors)


def repeatability(samples: pd.DataFrame, column: str) -> dict[str, float]:
    """P50 and P90 of how far, as a share, a sample in `column` is from the median of its point."""
    grouped = samples.groupby(["phase", "batch", "new", "computed"])[column]
    away = (samples[column] / grouped.transform("median") - 1).abs()[grouped.transform("count") > 1]
    return {f"p{share}": float(f"{np.percentile(away, share):.3g}") for share in (50, 90)} if len(away) else {}


def uncertainty(anchors: Mapping[str, Any], apart: Mapping[str, Mapping[str, float]]) -> str:
    """How unsteady the machine was (`described`), and what is left of that in the samples (`repeatability`)."""
    moved = ", ".join(f"{phase} {100 * part['spread']:.0f} %" for phase, part in anchors.items())
    line = f"the anchor's readings are apart by (P90 - P10) {moved}"
    raw, left = (
        ", ".join(f"{name} {100 * share:.1f} %" for name, share in apart[column].items())
        for column in ("raw_seconds", "seconds")
    )
    return f"{line}; samples of one point are off their median by {raw}, set against the anchor {left}" if raw else line
