"""Our values for LTR's claims, from stored results: what claims.yaml names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import percent, times
from experiments.tables.stats import interval

SETTINGS = ("trace.source.rate", "policy.order.starvation", "predictor.tau")
RATES, BURST, TAU = "size_based/ltr_rates", "size_based/ltr_burst", "size_based/ltr_tau"
SHAREGPT, RANKED = "size_based/ltr_burst_sharegpt", "size_based/ltr_burst_sharegpt_ranked"
FAIRNESS, OTHERS = "size_based/ltr_fairness", "size_based/ltr_fairness_others"
MODELS = {"llama_8b_40gb": "8B", "llama_70b": "70B"}
BASELINES = ("ltr_fcfs", "ltr_mlfq", "ltr_po", "ltr_class")
RATE, LATENCY = "trace.source.rate", "normalized_latency_mean"

Value = Callable[[pd.DataFrame], float]


def times_lower_by_rate(stored: Stored, reference: str, rates: Sequence[float], system: str = "ltr") -> list[Found]:
    """How many times lower the mean latency a token is under `system` than under `reference`, by rate."""
    table = of(stored.table(RATES), **{RATE: tuple(rates)})
    return [
        Found(f"{rate:g} requests/s", times(of(rows, system=reference), of(rows, system=system), LATENCY))
        for rate, rows in table.groupby(RATE)
    ]


def most_times_lower(stored: Stored, reference: str) -> list[Found]:
    """The largest of these, over all rates."""
    rates = sorted(stored.table(RATES)[RATE].unique())
    return [max(times_lower_by_rate(stored, reference, rates), key=lambda found: found.value.mean)]


def times_lower_in_burst(stored: Stored, part: str) -> list[Found]:
    """How many times lower the `part` (mean, p90) of the latencies a token is under LTR than under each baseline."""
    table = of_requests(stored, BURST, LATENCIES[part])
    return _against_baselines(table, of(table, system="ltr"))


def times_lower_in_burst_of_sharegpt(stored: Stored, part: str) -> list[Found]:
    """The same for the lengths of ShareGPT."""
    return _against_baselines(
        of_requests(stored, SHAREGPT, LATENCIES[part]), of_requests(stored, RANKED, LATENCIES[part])
    )


def _against_baselines(table: pd.DataFrame, ours: pd.DataFrame) -> list[Found]:
    return [
        Found(
            f"{MODELS[cluster]}, beside {name}",
            times(of(table, cluster=cluster, system=name), of(ours, cluster=cluster), "value"),
        )
        for cluster in MODELS
        for name in BASELINES
    ]


def samples_sooner(stored: Stored, samples: int) -> list[Found]:
    """How many times sooner so many requests of a burst are through under LTR than first come, first served."""

    def through(requests: pd.DataFrame) -> float:
        return float(np.sort(requests["finished"])[samples - 1])

    table = of_requests(stored, BURST, through)
    return [
        Found(MODELS[cluster], times(of(rows, system="ltr_fcfs"), of(rows, system="ltr"), "value"))
        for cluster, rows in table.groupby("cluster")
    ]


def by_tau(stored: Stored) -> list[Found]:
    """By how many percent the mean latency a token differs from that at the next lower tau."""
    table = stored.table(TAU)
    levels = sorted(table["predictor.tau"].unique())
    at = {level: of(table, **{"predictor.tau": level}) for level in levels}
    return [
        Found(f"tau {high:g} beside {low:g}", percent(at[high], at[low], LATENCY)) for low, high in pairwise(levels)
    ]


def wait_without_rule_over_with(stored: Stored) -> list[Found]:
    """How many times as long requests wait at the longest without the starvation rule as with it, by rate."""
    table = of_requests(stored, FAIRNESS, longest_wait)
    ruled = table["policy.order.starvation"].notna()
    return [
        Found(f"{rate:g} requests/s", times(rows[~ruled[rows.index]], rows[ruled[rows.index]], "value"))
        for rate, rows in table.groupby(RATE)
    ]


def tau(stored: Stored, system: str) -> list[Found]:
    """Kendall's tau-b of predictions and answers."""

    def concordance(requests: pd.DataFrame) -> float:
        return float(kendalltau(requests["predicted_tokens"], requests["output_tokens"]).statistic)

    table = of_requests(stored, BURST, concordance)
    return [Found("", interval(of(table, system=system, cluster="llama_8b_40gb")["value"]))]


def longest_wait(requests: pd.DataFrame) -> float:
    """The mean over requests of the longest wait for a token, s: for the first one, or while it was stopped.

    Where it was neither, it is less than a step, which is not counted: the paper's max_waiting_time but for that.
    """
    first = requests["first_token"] - requests["arrival"]
    return float(np.maximum(first, requests["longest_stop"]).mean())


def latencies(requests: pd.DataFrame) -> pd.Series:
    """Seconds a token of each request."""
    return (requests["finished"] - requests["arrival"]) / requests["output_tokens"]


def mean_latency(requests: pd.DataFrame) -> float:
    """Its mean."""
    return float(latencies(requests).mean())


def p90_latency(requests: pd.DataFrame) -> float:
    """Its 90th percentile."""
    return float(np.percentile(latencies(requests), 90))


LATENCIES: dict[str, Value] = {"mean": mean_latency, "p90": p90_latency}
COLUMNS = ("arrival", "first_token", "finished", "output_tokens", "predicted_tokens", "longest_stop")


def of_requests(stored: Stored, sweep: str, value: Value) -> pd.DataFrame:
    """The runs of `sweep`, with the `value` of the requests of each."""
    table = stored.table(sweep)
    return table.assign(value=[value(stored.requests(sweep, run, COLUMNS)) for run in table["run"]])
