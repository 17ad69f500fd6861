"""Simulated runs at the speed that the serving engine's anchor showed, and what the real runs can tell of their errors.

Everything here is a ratio of the anchor's seconds to those that it took while the profile was measured: no run's
latency is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from experiments.tables.stats import quantile
from experiments.validation.errors import statistics
from profiles.measuring.anchors import Reading, described, relative
from profiles.point import PHASES
from profiles.profile import DeviceProfile


def readings_of(summary: Mapping[str, Any]) -> list[Reading]:
    """The anchor's readings around and in a real run, instants in seconds of the epoch."""
    return [Reading(summary["began"] + at, *seconds) for at, *seconds in summary["anchors"]]


def speed(
    profile: DeviceProfile, readings: Sequence[Reading], summary: Mapping[str, Any], seconds: float
) -> dict[str, float]:
    """For each phase how many times as long as while `profile` was measured the anchor took in a run of `seconds`.

    `readings` are those of all runs.
    """
    reference = {phase: profile.provenance["anchor"][phase]["seconds"] for phase in PHASES}
    return relative(readings, reference, summary["began"], summary["began"] + seconds)


def at_speed(profile: DeviceProfile, factors: Mapping[str, float]) -> DeviceProfile:
    """`profile` with each phase's seconds times its factor; what both phases share is a part of a decode step."""
    return replace(
        profile,
        prefill=profile.prefill.scaled(factors["prefill"]),
        decode=profile.decode.scaled(factors["decode"]),
        fixed_seconds=profile.fixed_seconds * factors["decode"],
    )


def corrected_errors(real: Sequence[pd.DataFrame], simulated: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A row for each statistic: metric, statistic, `corrected` and `detects`; a simulated run for each real one.

    `corrected` is the mean over runs of simulated / real - 1, and `detects` the half width of its 95 % interval: no
    smaller error can be told from none. It is NaN of a single run.
    """
    ratios = pd.concat(
        [statistics(one) / statistics(other) - 1 for one, other in zip(simulated, real, strict=True)], axis=1
    )
    count = len(real)
    half = quantile(count) * ratios.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else np.nan
    return pd.DataFrame({"corrected": ratios.mean(axis=1), "detects": half}).reset_index()


def said(
    profile: DeviceProfile, factors: Sequence[Mapping[str, float]], runs: Sequence[Sequence[Reading]]
) -> list[str]:
    """For each real run (its factors, its own readings) a line, and one if the anchor is not the profile's at all."""
    own = profile.provenance["anchor"]
    lines, beyond = [], set()
    for number, (factor, readings) in enumerate(zip(factors, runs, strict=True)):
        found = described(readings)
        parts = []
        for phase in PHASES:
            if abs(factor[phase] - 1) > max(own[phase]["spread"], found[phase]["spread"]):
                beyond.add(phase)
            parts.append(f"{phase} {100 * (factor[phase] - 1):+.1f} % (spread {100 * found[phase]['spread']:.1f} %)")
        lines.append(f"run {number + 1}: anchor {', '.join(parts)} of the profile's, {len(readings)} readings")
    if beyond:
        shares = ", ".join(f"{phase} {100 * own[phase]['spread']:.1f} %" for phase in PHASES)
        lines.append(
            f"the engine's anchor ({', '.join(sorted(beyond))}) is further from the profile's than either one's spread "
            f"(while measuring {shares}): the machine has another speed now, or the engines differ in something"
        )
    return lines
