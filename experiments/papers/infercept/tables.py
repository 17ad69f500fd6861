"""Our values for INFERCEPT's claims, from stored results: what claims.yaml names.

Wasted is, as its equations 1 to 4 count it: KV of jobs that call out, kept (2) or under way to the host and back (3);
of jobs that compute anew what was dropped (1, 4); and what others hold while a step is longer for that, or for copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import passed, percent, times
from experiments.run.results import Folder
from experiments.tables.stats import Interval, interval

SETTINGS = ("trace.rate",)
WASTE, PARTS = "augmented/infercept_waste", "augmented/infercept_parts"
RATES, RATES_13B = "augmented/infercept_rates", "augmented/infercept_rates_13b"
RATES_OTHERS = "augmented/infercept_rates_others"
LATENCY = "normalized_serving_time_mean"
CLUSTERS = {"vicuna_13b": "on two GPUs", "vicuna_13b_one": "on one GPU"}
IDLE = ("paused", "transfer", "recompute")  # uses that are waste
OTHERS = ("decode", "prefill")  # those of the others, which may be held up

Told = Callable[[pd.DataFrame], float]  # of a run's audit


def waste(stored: Stored, system: str) -> list[Found]:
    """The share of KV memory over time that `system` wastes, %, by GPUs."""
    return _by_cluster(stored, system, wasted)


def held_up(stored: Stored, system: str) -> list[Found]:
    """The share of time by which steps of `system` are longer for recomputation and for copies, %, by GPUs."""
    return _by_cluster(stored, system, lambda audit: audit["held_up"].sum() / audit["token_seconds"].sum())


def step(stored: Stored, system: str, before: str) -> list[Found]:
    """By how many percent the normalized latency of `system` differs from that of the step `before`, by GPUs."""
    table = stored.table(PARTS)
    return [
        Found(called, percent(of(table, system=system, cluster=name), of(table, system=before, cluster=name), LATENCY))
        for name, called in CLUSTERS.items()
    ]


def estimator(stored: Stored) -> list[Found]:
    """The normalized latency with true durations over that with the estimate, %, by GPUs."""
    table, found = stored.table(PARTS), []
    for name, called in CLUSTERS.items():
        own, oracle = (of(table, system=system, cluster=name) for system in ("infercept", "infercept_oracle"))
        less = percent(oracle, own, LATENCY)
        found.append(Found(called, Interval(100 + less.mean, less.half_width)))
    return found


def lower(stored: Stored, sweep: str) -> list[Found]:
    """How many times lower the normalized latency is than vLLM's, by rate."""
    return [
        Found(f"{rate:g} requests/s", times(of(rows, system="infercept_vllm"), of(rows, system="infercept"), LATENCY))
        for rate, rows in stored.table(sweep).groupby("trace.rate")
    ]


def rate(stored: Stored, sweep: str, limits: Sequence[float]) -> list[Found]:
    """The rate at which a normalized latency (s/token) is passed, over that at which it is under vLLM, by latency."""
    table = stored.table(sweep)
    return [
        Found(
            f"at {limit:g} s/token",
            interval(
                passed(of(table, system="infercept"), LATENCY, limit)
                / passed(of(table, system="infercept_vllm"), LATENCY, limit)
            ),
        )
        for limit in limits
    ]


def wasted(audit: pd.DataFrame) -> float:
    """The share of KV memory over time that is wasted."""
    uses = audit.groupby("use")[["token_seconds", "held_up"]].sum()
    idle, others = uses.loc[[*IDLE], "token_seconds"].sum(), uses.loc[[*OTHERS], "held_up"].sum()
    return float((idle + others) / uses["token_seconds"].sum())


def wasted_of_held(audit: pd.DataFrame) -> float:
    """The same, of the memory over time that is held."""
    uses = audit.groupby("use")["token_seconds"].sum()
    return wasted(audit) * float(uses.sum() / (uses.sum() - uses["free"]))


def shares(stored: Stored, system: str, cluster: str, told: Told) -> Interval:
    """What is `told` of the audit of each run of `system` on `cluster`, in %, over seeds."""
    runs = of(stored.table(WASTE), system=system, cluster=cluster)["run"]
    audits = [pd.read_parquet(Folder(stored.root / WASTE / run).path / "audit.parquet") for run in runs]
    return interval([100 * told(audit) for audit in audits])


def _by_cluster(stored: Stored, system: str, told: Told) -> list[Found]:
    return [Found(called, shares(stored, system, name, told)) for name, called in CLUSTERS.items()]
