"""Our values for FastServe's claims, from stored results: what experiments/papers/fastserve/claims.yaml names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import as_times
from experiments.tables.stats import Interval, change, interval

SETTINGS = ("trace.rate", "policy.batching.max_num_seqs")
SWEEPS = {
    "sharegpt": ("size_based/fastserve_sharegpt",),
    "alpaca": tuple(f"size_based/fastserve_alpaca{more}" for more in ("", "_20", "_30", "_40")),
    "swapping": ("size_based/fastserve_swapping",),
    "answers": ("size_based/fastserve_answers",),
    "large_batches": ("size_based/fastserve_large_batches",),
}
COLUMNS = ("arrival", "first_token", "finished", "output_tokens")
SLOS = ((1.55, 0.15), (3.1, 0.3), (6.2, 0.6))  # s: time to first token, latency per output token; [R] fig13.py
ATTAINED = 0.95  # share of the requests within an SLO; [R] there
LIMIT = 0.3  # s per output token; [R] the line in Figs 11 and 12


def runs(stored: Stored, workload: str) -> pd.DataFrame:
    """The runs of a workload; of each `mean` and `p95` seconds per output token, and the share within each of SLOS."""
    tables = []
    for sweep in SWEEPS[workload]:
        table = stored.table(sweep)
        measured = [_of_run(stored.requests(sweep, run, COLUMNS)) for run in table["run"]]
        tables.append(table.assign(**{name: [one[name] for one in measured] for name in measured[0]}))
    return pd.concat(tables, ignore_index=True)


def _of_run(requests: pd.DataFrame) -> dict[str, float]:
    per_token = (requests["finished"] - requests["arrival"]) / requests["output_tokens"]
    ttft = requests["first_token"] - requests["arrival"]
    within = {
        f"within {first} s": float(((ttft < first) & (per_token < each)).mean()) for first, each in SLOS
    }  # as fig13.py has it: the time of each token is the whole latency's
    return {"mean": float(per_token.mean()), "p95": float(per_token.quantile(0.95)), **within}


def passes(rates: Sequence[float], values: Sequence[float], limit: float) -> float:
    """The rate at which rising values pass `limit`, straight between those measured; NaN if it is not among them."""
    for at in range(1, len(rates)):
        if values[at] >= limit > values[at - 1]:
            part = (limit - values[at - 1]) / (values[at] - values[at - 1])
            return float(rates[at - 1] + part * (rates[at] - rates[at - 1]))
    return float("nan")


def rates(table: pd.DataFrame, system: str, metric: str, limit: float) -> np.ndarray:
    """The requests/s at which `metric` of a system passes `limit`, a value for each seed."""
    own = of(table, system=system)
    return np.array(
        [
            passes(one["trace.rate"].tolist(), one[metric].tolist(), limit)
            for _, one in own.sort_values("trace.rate").groupby("seed")
        ]
    )


def _ratio(table: pd.DataFrame, system: str, reference: str, metric: str, limit: float) -> Interval:
    return as_times(change(rates(table, system, metric, limit), rates(table, reference, metric, limit)))


def ratio_of_rates(
    stored: Stored, workload: str, reference: str, systems: Sequence[str] = ("fastserve", "fastserve_released"),
    metric: str = "mean", batch: int = 16,
) -> list[Found]:  # fmt: skip
    """How many times the rate of `reference` each of `systems` serves until `metric` passes 0.3 s per output token."""
    table = of(runs(stored, workload), policy__batching__max_num_seqs=batch)
    return [Found(system, _ratio(table, system, reference, metric, LIMIT)) for system in systems]


def ratio_of_goodput(
    stored: Stored, reference: str, systems: Sequence[str] = ("fastserve", "fastserve_released")
) -> list[Found]:
    """The same until fewer than 95 % of the requests are within an SLO, for each of the three."""
    table = runs(stored, "sharegpt")
    missed = table.assign(**{f"within {first} s": -table[f"within {first} s"] for first, _ in SLOS})
    return [
        Found(f"{system}, {first} s and {each} s", _ratio(missed, system, reference, f"within {first} s", -ATTAINED))
        for system in systems
        for first, each in SLOS
    ]


def unloaded(stored: Stored, system: str) -> list[Found]:
    """Mean seconds per output token at 1 request/s, as good as unloaded."""
    table = of(runs(stored, "sharegpt"), system=system, trace__rate=1)
    return [Found("", interval(table["mean"]))]
