"""Our values for InfLLM's claims. Of one request nothing is drawn: a value has an interval of no width."""

from __future__ import annotations

import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.transformer_cost.tables import exact

SETTINGS = ("trace.lengths.prompt", "trace.rate")
LENGTH, MISSES, MISTRAL, LOAD = (f"long_context/{name}" for name in ("length", "misses", "mistral", "load"))
OWN, FULL = "infllm", "infllm_full"
MEAN = 145_100  # [R] tokens of InfiniteBench's samples; how long those were that its Table 2 timed is not said
HUNDRED = 100_000  # [R] tokens of its appendix A
PLACES = {HUNDRED: "at 100,000 tokens", MEAN: "at InfiniteBench's mean"}
MISS = "cluster.devices.gpu.profile.windows.miss_rate"
OVERLAPPED = "cluster.devices.gpu.profile.overlapped"


def by_length(stored: Stored, cluster: str) -> pd.DataFrame:
    """The runs of one request by the length of its prompt; those that were refused have no seconds."""
    rows = of(stored.table(LENGTH), cluster=cluster)
    return rows.assign(length=rows["trace.lengths.prompt"].astype(int)).sort_values("length").set_index("length")


def less_time(stored: Stored) -> list[Found]:
    """By how many percent a prompt takes less time than with full attention."""
    own, full = by_length(stored, OWN)["ttft_mean"], by_length(stored, FULL)["ttft_mean"]
    return [Found(called, exact(100 * (own[at] / full[at] - 1))) for at, called in PLACES.items()]


def memory_share(stored: Stored) -> list[Found]:
    """Memory of the device over full attention's, %."""
    own, full = (by_length(stored, cluster)["costs.device_bytes"] for cluster in (OWN, FULL))
    return [Found(called, exact(100 * own[at] / full[at])) for at, called in PLACES.items()]


def memory(stored: Stored, cluster: str) -> list[Found]:
    """Memory of the device, GB."""
    held = by_length(stored, cluster)["costs.device_bytes"] / 1e9
    return [Found(called, exact(held[at])) for at, called in PLACES.items()]


def mistral_memory(stored: Stored) -> list[Found]:
    """Memory of the device that Mistral-7B needs for 128K tokens, GB."""
    return [Found("", exact(stored.table(MISTRAL)["costs.device_bytes"].iloc[0] / 1e9))]


def seconds(stored: Stored) -> list[Found]:
    """Of a prompt of 100,000 tokens."""
    return [Found("", exact(by_length(stored, OWN)["ttft_mean"][HUNDRED]))]


def longest(stored: Stored, cluster: str) -> list[Found]:
    """The longest prompt of those that were asked which is served, tokens."""
    served = by_length(stored, cluster)["ttft_mean"].dropna()
    return [Found("", exact(served.index.max()))]


def cache_saves(stored: Stored) -> list[Found]:
    """By how many percent the cache of units makes a prompt of 100,000 tokens quicker, copies before the steps."""
    table = of(stored.table(MISSES), **{OVERLAPPED: False})
    kept, none = (of(table, **{MISS: rate})["ttft_mean"].iloc[0] for rate in (0.2, 1.0))
    return [Found("", exact(100 * (kept / none - 1)))]
