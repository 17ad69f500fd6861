"""Our values for TIE's claims, from stored results: what claims.yaml names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import times
from experiments.tables.stats import Interval, interval
from traces.formats.castillo import of_model, read
from traces.locate import public_file

SETTINGS = (
    "predictor.nu", "predictor.sigma", "policy.order.least", "policy.order.decay", "policy.order.level",
    "cluster.devices.gpu.kv_tokens",
)  # fmt: skip
TIE, KNOWN, FCFS = "distributions/tie", "distributions/tie_known", "distributions/tie_fcfs"
PARTS, PARTS_KNOWN, LAWS, TAIL, OFFLINE = (
    f"distributions/tie_{name}" for name in ("parts", "parts_known", "laws", "tail", "offline")
)
B, DECAY, NU = "policy.order.least", "policy.order.decay", "predictor.nu"
COLUMNS = ("arrival", "finished", "output_tokens")
# What the paper compares, by the sweep and the runs of it that are that here.
SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "FCFS": (FCFS, {}),
    "SSJF": (TIE, {"policy": "sjf", "predictor": "ssjf_classifier"}),
    "LTR": (TIE, {"policy": "sjf", "predictor": "ltr"}),
    "TIE": (TIE, {"policy": "tie", "predictor": "log_t"}),
}
CLAIMED = {
    "mean": {"FCFS": 3.17, "SSJF": 1.95, "LTR": 1.55, "TIE": 0.67},  # s/token [S], 8B at 100 requests/s
    "p90": {"FCFS": 16.13, "SSJF": 8.24, "LTR": 7.03, "TIE": 4.05},  # [S]; of which of its tests is not known
}
PARTS_CLAIMED = {"E alone": 0.75, "b = 0.1": 0.72, "b = 0.3": 0.71, "lognormal": 1.63, "TIE": 0.67}  # s/token [S]
LARGE = 1e6  # degrees of freedom from which a log-t law is taken to be lognormal
LEVEL = 0.05  # of the Kolmogorov-Smirnov test


def values(stored: Stored, sweep: str, part: str = "mean") -> pd.DataFrame:
    """The runs of `sweep`, with the `part` (mean, p90) of the seconds a token of the requests of each as `value`."""
    table = stored.table(sweep)
    return table.assign(value=[latencies(stored.requests(sweep, run, COLUMNS), part) for run in table["run"]])


def latencies(requests: pd.DataFrame, part: str) -> float:
    """The `part` (mean, p90) of the seconds a token of these requests."""
    each = (requests["finished"] - requests["arrival"]) / requests["output_tokens"]
    return float(each.mean() if part == "mean" else np.percentile(each, 90))


def runs(stored: Stored, scheduler: str, part: str = "mean") -> pd.DataFrame:
    """Those of one of `SCHEDULERS`."""
    sweep, chosen = SCHEDULERS[scheduler]
    return of(values(stored, sweep, part), **chosen)


def latency(stored: Stored, scheduler: str, part: str) -> list[Found]:
    """Seconds a token under one of `SCHEDULERS`."""
    return [Found("", interval(runs(stored, scheduler, part)["value"]))]


def times_lower(stored: Stored, reference: str, part: str) -> list[Found]:
    """How many times lower the seconds a token are under TIE than under `reference`."""
    return [Found("", times(runs(stored, reference, part), runs(stored, "TIE", part), "value"))]


def by_same_law(stored: Stored) -> list[Found]:
    """How many times lower the mean seconds a token are under TIE than if the same predictions' means are the order."""
    return [
        Found(f"predictor={name}", times(of(rows, policy="sjf"), of(rows, policy="tie"), "value"))
        for sweep in (TIE, KNOWN)
        for name, rows in values(stored, sweep).groupby("predictor")
    ]


def parts(stored: Stored) -> dict[str, pd.DataFrame]:
    """By the names of `PARTS_CLAIMED` the runs, all by log-t and with the decay."""
    fixed = of(values(stored, PARTS), **{DECAY: 0.9})
    laws = of(values(stored, LAWS), **{DECAY: 0.9})
    return {
        "E alone": of(fixed, **{B: 0.0}),
        "b = 0.1": of(fixed, **{B: 0.1}),
        "b = 0.3": of(fixed, **{B: 0.3}),
        "lognormal": of(laws, **{NU: LARGE}),
        "TIE": of(laws, **{NU: 3.5}),
    }


def times_lower_than_without(stored: Stored, part: str) -> list[Found]:
    """How many times lower the mean seconds a token are under TIE than under one of `PARTS_CLAIMED`."""
    found = parts(stored)
    return [Found("", times(found[part], found["TIE"], "value"))]


def sooner(stored: Stored, samples: int) -> list[Found]:
    """How many times sooner so many of a pool are answered under TIE than under others."""
    table = stored.table(OFFLINE)
    through = [np.sort(stored.requests(OFFLINE, run, COLUMNS)["finished"])[samples - 1] for run in table["run"]]
    table = table.assign(value=through)
    tie = of(table, policy="tie", predictor="log_t")
    others = {"FCFS": {"policy": "fifo", "predictor": "log_t"}, "LTR": {"policy": "sjf", "predictor": "ltr"}}
    return [Found(f"than {name}", times(of(table, **chosen), tie, "value")) for name, chosen in others.items()]


def pass_rate(stored: Stored, nu: float) -> list[Found]:
    """The share (%) of prompts whose ten answers pass a Kolmogorov-Smirnov test of the likeliest log-t law of `nu`
    degrees of freedom (from `LARGE`: lognormal) at 5 %, Llama-3.1-8B's in CASTILLO; beside it that of as many drawn
    from log-t laws of three degrees, as if the law were known to be that."""
    drawn = np.random.default_rng(0).standard_t(3, _logs().shape)
    return [
        Found(name, _share(passes(logs, nu)))
        for name, logs in (("CASTILLO's answers", _logs()), ("drawn from log-t(3)", drawn))
    ]


def _share(passed: NDArray[np.bool_]) -> Interval:
    share = float(passed.mean())
    return Interval(100 * share, 196 * float(np.sqrt(share * (1 - share) / len(passed))))


@lru_cache
def _logs() -> NDArray[np.float64]:
    """The log lengths of the ten answers to each prompt (prompts, 10), uncut, but for prompts with one length alone."""
    files = (public_file(f"prompts/castillo_{name}.parquet") for name in ("prompts", "lengths"))
    lengths = np.array(of_model(read(*files, clip=10**7), "Llama-3.1-8B")["samples"].tolist())
    return np.log(lengths[np.ptp(lengths, axis=1) > 0])


def passes(logs: NDArray[np.float64], nu: float) -> NDArray[np.bool_]:
    """Whether the test does not refuse each row's own likeliest law; as its parameters are fitted, it is lenient."""
    middle, scale = likeliest(logs, nu)
    law = stats.norm if nu >= LARGE else stats.t(nu)
    below = np.sort(law.cdf((logs - middle) / scale), axis=1)
    count = logs.shape[1]
    steps = np.arange(count + 1) / count
    apart = np.maximum(steps[1:] - below, below - steps[:-1]).max(axis=1)
    return np.asarray(stats.kstwo.sf(apart, count) > LEVEL)


def likeliest(logs: NDArray[np.float64], nu: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle and the scale of each row's likeliest t law, by expectation and maximisation."""
    middle, scale = logs.mean(axis=1, keepdims=True), logs.std(axis=1, keepdims=True)
    if nu >= LARGE:
        return middle, scale
    middle = np.median(logs, axis=1, keepdims=True)
    for _ in range(200):
        weight = (nu + 1) / (nu + ((logs - middle) / scale) ** 2)
        middle = (weight * logs).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
        scale = np.maximum(np.sqrt((weight * (logs - middle) ** 2).mean(axis=1, keepdims=True)), 1e-4)
    return middle, scale
