"""Our values for ALISE's claims, from stored results: what experiments/papers/alise/claims.yaml names."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import passed
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
            interval(
                passed(of(table, system=system), LATENCY, limit) / passed(of(table, system=reference), LATENCY, limit)
            ),
        )
        for reference in references
        for limit in limits
    ]


def latency(stored: Stored, sweep: str, system: str, rate: float) -> list[Found]:
    """The mean latency per output token, s, of `system` at `rate` requests/s."""
    return [
        Found(f"at {rate:g} requests/s", interval(of(stored.table(sweep), system=system, trace__rate=rate)[LATENCY]))
    ]
