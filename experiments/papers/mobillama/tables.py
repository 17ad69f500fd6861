"""Our values for MobiLlama's claims. Nothing is drawn: a value has an interval of no width."""

from __future__ import annotations

import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.mobillama.published import CLUSTERS
from experiments.papers.transformer_cost.tables import exact, nothing
from profiles.operators.architecture import architecture

__all__ = ["SETTINGS", "nothing"]

SETTINGS = ("trace.lengths.prompt", "trace.lengths.output")
DEVICES, CACHE = "transformer_cost/mobillama", "transformer_cost/mobillama_cache"
OWN, LARGE = "mobillama-0.5b", "mobillama-large-base"


def parameters(stored: Stored, model: str) -> list[Found]:
    """Parameters of a model, 10^9."""
    return [Found("", exact(architecture(model).parameter_count / 1e9))]


def fewer(stored: Stored) -> list[Found]:
    """By how many percent sharing makes fewer parameters of the large base."""
    return [Found("", exact(100 * (1 - architecture(OWN).parameter_count / architecture(LARGE).parameter_count)))]


def feed_forward(stored: Stored) -> list[Found]:
    """The share of feed-forward parts in the large base's parameters, %."""
    large = architecture(LARGE)
    return [Found("", exact(100 * large.layers * large.feed_forward_parameters / large.parameter_count))]


def run(stored: Stored, sweep: str, cluster: str, model: str) -> pd.Series:
    """The one run of a model on a device."""
    return of(stored.table(sweep), cluster=cluster, model=model).iloc[0]


def faster(stored: Stored, cluster: str) -> list[Found]:
    """Tokens/s over the large base's: by the device's cache, and by one that holds the shared part."""
    found = []
    for sweep, called in ((DEVICES, "by its cache"), (CACHE, "if it holds the shared part")):
        own, large = (run(stored, sweep, cluster, model)["tpot_mean"] for model in (OWN, LARGE))
        found.append(Found(called, exact(large / own)))
    return found


def speed(stored: Stored, cluster: str, model: str) -> list[Found]:
    """Tokens/s of one request."""
    return [Found("", exact(1 / run(stored, DEVICES, cluster, model)["tpot_mean"]))]


def memory(stored: Stored, cluster: str, model: str) -> list[Found]:
    """Weights and KV of one request, MB."""
    return [Found("", exact(run(stored, DEVICES, cluster, model)["costs.device_bytes"] / 1e6))]


def table(stored: Stored) -> pd.DataFrame:
    """A row for each device and model."""
    rows = []
    for cluster, called in CLUSTERS.items():
        for model in (OWN, "mobillama-baseline1", "mobillama-baseline2", LARGE):
            one = run(stored, DEVICES, cluster, model)
            cached = run(stored, CACHE, cluster, model)["tpot_mean"] if model in (OWN, LARGE) else float("nan")
            rows.append({
                "device": called, "model": model, "parameters": architecture(model).parameter_count / 1e9,
                "MB": one["costs.device_bytes"] / 1e6, "GFLOP": one["costs.flops"] / 1e9,
                "GB moved": one["costs.bytes"] / 1e9, "ms/token": 1e3 * one["tpot_mean"],
                "tokens/s": 1 / one["tpot_mean"], "tokens/s, kept": 1 / cached,
            })  # fmt: skip
    return pd.DataFrame(rows)
