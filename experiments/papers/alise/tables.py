"""Our values for ALISE's claims, from stored results: what experiments/papers/alise/claims.yaml names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.tables.stats import interval

SETTINGS = ("trace.rate", "policy.order.patience", "policy.eviction.reserve", "cluster.devices.gpu.host.share")
LATENCY = "normalized_latency_mean"
LIMITS = (0.1, 0.2)  # s/token, [A]: at which latency the throughputs are compared is not known
REFERENCES = {"vllm_v0": "vLLM's V0", "alise_fcfs": "FCFS on the same engine"}


def throughput(
    stored: Stored,
    sweep: str,
    system: str = "alise",
    references: Sequence[str] = (*REFERENCES,),
    limits: Sequence[float] = LIMITS,
) -> list[Found]:
    """The rate at which `system` passes a latency per token over that at which a reference does, for each latency."""
    table = stored.table(sweep)
    return [
        Found(
            f"over {REFERENCES[reference]} at {limit:g} s/token",
            interval(_passed(of(table, system=system), limit) / _passed(of(table, system=reference), limit)),
        )
        for reference in references
        for limit in limits
    ]


def latency(stored: Stored, sweep: str, system: str, rate: float) -> list[Found]:
    """The mean latency per output token, s, of `system` at `rate` requests/s."""
    return [
        Found(f"at {rate:g} requests/s", interval(of(stored.table(sweep), system=system, trace__rate=rate)[LATENCY]))
    ]


def _passed(table: pd.DataFrame, limit: float) -> pd.Series:
    """Seed -> the rate at which the latency passes `limit`, straight in the log of it between the rates that were run.

    ValueError if it does not at any of them, or is above at the lowest.
    """
    rates = {}
    for seed, run in table.groupby("seed"):
        run = run.sort_values("trace.rate")
        logs, at = np.log(run[LATENCY].to_numpy()), run["trace.rate"].to_numpy(dtype=float)
        above = int(np.argmax(logs > np.log(limit)))
        if not above:
            raise ValueError(
                f"seed {seed}: the latency does not pass {limit:g} s/token within {at[0]:g} to {at[-1]:g}/s"
            )
        share = (np.log(limit) - logs[above - 1]) / (logs[above] - logs[above - 1])
        rates[seed] = at[above - 1] + share * (at[above] - at[above - 1])
    return pd.Series(rates)
