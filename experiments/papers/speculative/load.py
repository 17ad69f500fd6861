"""At which load speculation stops paying: where a metric under it passes that of plain decoding, over paired seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import percent
from experiments.tables.stats import Interval, interval

RATE, JOBS = "trace.rate", "jobs"
METRICS = {
    "response_time_mean": "E2E",
    "normalized_latency_mean": "normalized latency",
    "tpot_mean": "TPOT",
}
NEVER = Interval(float("nan"), float("nan"))


class Variant(NamedTuple):
    """Runs that speculate, by the settings that tell them from others of their sweep."""

    sweep: str
    where: Mapping[str, object]

    def runs(self, stored: Stored) -> pd.DataFrame:
        """A row for each rate and seed."""
        return of(stored.table(self.sweep), **self.where)


class Crossing(NamedTuple):
    """Where speculation stops paying: requests/s, and how many requests are there on average under plain decoding.

    NaN where it pays, or does not, at all rates of some seed; `always` says in which share of all pairs it pays.
    """

    rate: Interval
    jobs: Interval
    pays: float


def changes(runs: pd.DataFrame, plain: pd.DataFrame, metric: str) -> list[tuple[float, Interval]]:
    """By rate: by how many percent `metric` differs from plain decoding's, over paired seeds."""
    return [
        (float(rate), percent(own, of(plain, trace__rate=rate), metric))
        for rate, own in runs.groupby(RATE)
        if (plain[RATE] == rate).any()
    ]


def crossing(runs: pd.DataFrame, plain: pd.DataFrame, metric: str) -> Crossing:
    """The first rate at which `metric` is no longer better than plain decoding's, straight in the log of their ratio.

    The requests that are there are rate times response time (Little's law).
    """
    plain = plain.assign(jobs=plain[RATE] * plain["response_time_mean"])
    both = runs[["seed", RATE, metric]].merge(plain[["seed", RATE, metric, JOBS]], on=["seed", RATE], validate="1:1")
    logs = np.log(both[f"{metric}_x"] / both[f"{metric}_y"])
    found = [_of_seed(own.sort_values(RATE)) for _, own in both.assign(log=logs).groupby("seed")]
    rates, jobs = (interval(values) if not np.isnan(values).any() else NEVER for values in np.transpose(found))
    return Crossing(rates, jobs, float((logs < 0).mean()))


def _of_seed(run: pd.DataFrame) -> tuple[float, float]:
    """The rate at which `log` first rises above 0, and the jobs there; NaN where it begins above, or never does."""
    logs, rates, jobs = (run[name].to_numpy(dtype=float) for name in ("log", RATE, JOBS))
    above = int(np.argmax(logs > 0))
    if not above:
        return float("nan"), float("nan")
    share = -logs[above - 1] / (logs[above] - logs[above - 1])
    rate, there = (one[above - 1] + share * (one[above] - one[above - 1]) for one in (rates, jobs))
    return float(rate), float(there)


def throughput(runs: pd.DataFrame, plain: pd.DataFrame) -> Interval:
    """By how many percent the requests/s that are served at the highest rate differ from plain decoding's."""
    rate = min(runs[RATE].max(), plain[RATE].max())
    return percent(of(runs, trace__rate=rate), of(plain, trace__rate=rate), "throughput_requests")


def rows(stored: Stored, variants: Mapping[str, Variant], plain: pd.DataFrame) -> list[dict[str, object]]:
    """For each variant: where each metric stops being better, how it is at the lowest rate, and what it serves."""
    told: list[dict[str, object]] = []
    for called, variant in variants.items():
        runs = variant.runs(stored)
        row: dict[str, object] = {"system": called}
        row["E2E when idle, %"] = changes(runs, plain, "response_time_mean")[0][1]
        for metric, word in METRICS.items():
            at = crossing(runs, plain, metric)
            row[f"{word}: pays up to, requests/s"], row[f"{word}: requests there"] = at.rate, at.jobs
        row["served in overload, %"] = throughput(runs, plain)
        told.append(row)
    return told


def numbers(told: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """How the columns of `rows` are written."""
    return {name: "+.1f" if name.endswith("%") else ".1f" for name in told[0] if name not in ("", "system")}
