"""An anchor: a fixed point that is timed again and again, so that a machine's drift can be told from what is measured.

A reading is one prefill and some decode steps of a fixed batch and context. What is timed between two readings is set
against the line between them: the machine was as fast then as the anchor says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from profiles.point import PHASES

READINGS = 100  # instants at which a stretch of time is looked at


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
    """What the anchor of `phase` took at `instants` (s): on the line between readings, each the median of three.

    Beyond the first and the last it is as they are.
    """
    ordered = sorted(readings)
    values = [getattr(one, phase) for one in ordered]
    smooth = [median(values[max(0, index - 1) : index + 2]) for index in range(len(values))]
    smooth[:1], smooth[-1:] = [median(values[:2])], [median(values[-2:])]
    return np.interp(instants, [one.at for one in ordered], smooth)


def relative(readings: Sequence[Reading], reference: Mapping[str, float], begin: float, end: float) -> dict[str, float]:
    """For each phase how many times as long as `reference` (s) the anchor took from `begin` to `end`, on average."""
    instants = np.linspace(begin, end, READINGS)
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
