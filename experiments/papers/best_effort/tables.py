"""Our values for best-effort serving's claims, from stored results: what claims.yaml names.

Of a learned router there is a sweep beside each, over networks of several seeds of training (`SWEEP_learned`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import yaml

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.best_effort import levels
from experiments.papers.best_effort.levels import Floats
from experiments.tables.stats import Interval

NETWORK = "policy.routing.network"
GPUS = tuple(f"cluster.devices.{size}.count" for size in ("small", "medium", "large"))
SETTINGS = ("trace.rate", NETWORK, "policy.overhead.route_seconds", "load", *GPUS)
LEARNED, LARGE = "best_effort", "static_large"
CHOSEN = "best_effort_hard_4.npz"  # of five, the best on what training holds out (docs/learning.md)
STATIC = (LARGE, "static_medium", "static_small")
LARGE_HERE = "static_large_two"
RULES = {
    "best_effort_threshold": "threshold",
    "best_effort_threshold_by_task": "threshold by task",
    "best_effort_greedy": "greedy by deadline",
    "best_effort_rate": "bands of the rate",
}
CALLED = {
    LEARNED: "learned",
    **RULES,
    LARGE: "all 6.7B",
    "static_medium": "all 1.3B",
    "static_small": "all 125M",
    LARGE_HERE: "6.7B on two GPUs",
}
STABLE, SEATS, UNPREDICTABLE = "best_effort/stable", "best_effort/seats", "best_effort/unpredictable"
AVAILABLE = 0.99  # [A] of the requests in time, of a service that is available
SHARES = (0.99, 0.95)
PROCESSES = {
    "best_effort": "Poisson",
    "best_effort_gamma": "Gamma",
    "best_effort_mmpp": "MMPP",
    "best_effort_azure": "Azure",
}


def runs(stored: Stored, sweep: str) -> pd.DataFrame:
    """The runs of a sweep and, where they are there, of the learned router's beside it."""
    found = stored.tables([sweep, f"{sweep}_learned"])
    return pd.concat(found.values(), ignore_index=True)


def cells(table: pd.DataFrame, metric: str) -> Floats:
    """`metric`, a row a seed of traces and a column a network; ValueError where one of them lacks a run."""
    networks = table[NETWORK].map(str) if NETWORK in table else pd.Series("", table.index)
    wide = table.assign(network=networks).pivot(index="seed", columns="network", values=metric)
    if wide.isna().any(axis=None):
        raise ValueError(f"not every network has a run for every seed: {wide.isna().sum().sum()} of {wide.size} lack")
    return wide.to_numpy(dtype=float)


def there(table: pd.DataFrame, routers: Iterable[str]) -> list[str]:
    """Those of `routers` of which there are runs."""
    return [name for name in routers if (table["system"] == name).any()]


def compared(
    table: pd.DataFrame,
    router: str,
    other: str,
    metric: str,
    how: Callable[[Floats, Floats], Interval] = levels.percent,
) -> Interval:
    """`metric` of a router against that of another on the same traces."""
    ours, theirs = (of(table, system=name).sort_values("seed") for name in (router, other))
    if sorted(set(ours["seed"])) != sorted(set(theirs["seed"])):
        raise ValueError(f"{router} and {other} were run with other seeds: {set(ours['seed']) ^ set(theirs['seed'])}")
    return how(cells(ours, metric), cells(theirs, metric))


def best(table: pd.DataFrame, routers: Iterable[str], metric: str = "performance") -> str:
    """Which of `routers` has the highest mean."""
    return max(there(table, routers), key=lambda name: of(table, system=name)[metric].mean())


def highest_rate(rates: Sequence[float], availability: Floats, share: float) -> float:
    """Up to which rate so large a `share` is served in time, on lines between those that were tried.

    0 where it is not at the lowest of them, and the highest where it is at all.
    """
    if availability[0] < share:
        return 0.0
    for at in range(1, len(rates)):
        if availability[at] < share:
            part = (availability[at - 1] - share) / (availability[at - 1] - availability[at])
            return float(rates[at - 1] + part * (rates[at] - rates[at - 1]))
    return float(rates[-1])


def available(table: pd.DataFrame, router: str) -> tuple[list[float], Floats]:
    """Rates, and the availability by seed, network and rate."""
    own = of(table, system=router)
    rates = sorted(set(own["trace.rate"]))
    return rates, np.stack([cells(of(own, trace__rate=rate), "availability") for rate in rates], axis=-1)


def kept(table: pd.DataFrame, router: str, share: float = AVAILABLE) -> Interval:
    """Up to which rate (requests/s) `router` answers so large a `share` in time."""
    rates, ours = available(table, router)
    return levels.told(lambda one, _: highest_rate(rates, one.mean(axis=(0, 1)), share), ours, ours[:, :1])


def rate_kept(stored: Stored, router: str) -> list[Found]:
    """Up to how many times the rate of static serving of the large model `router` keeps up, by share and seats."""
    sweeps = {"128": runs(stored, STABLE), "256": stored.table(SEATS)}
    return [
        Found(f"{share:.0%} in time, {seats} seats", _times_the_rate(table, router, share))
        for seats, table in sweeps.items()
        for share in SHARES
    ]


def _times_the_rate(table: pd.DataFrame, router: str, share: float) -> Interval:
    (rates, ours), (others, theirs) = available(table, router), available(table, LARGE)

    def ratio(one: Floats, other: Floats) -> float:
        below = highest_rate(others, other.mean(axis=(0, 1)), share)
        return highest_rate(rates, one.mean(axis=(0, 1)), share) / below if below else float("nan")

    return levels.told(ratio, ours, theirs)


def more_often(stored: Stored, metric: str) -> list[Found]:
    """How many times as often as static serving of the large model the learned router is so near the peak.

    Over all workloads alike, against that on all GPUs and on the two that it has beside the small ones; and over the
    rates of each workload: at one rate alone static serving may never be so near.
    """
    table = runs(stored, UNPREDICTABLE)
    groups = {"all six": table} | {called: table[table["trace"] == name] for name, called in PROCESSES.items()}
    places = {LARGE: "", LARGE_HERE: ", on two GPUs"}
    return [
        Found(f"{called}{place}", compared(averaged(own, metric), LEARNED, static, metric, levels.times))
        for called, own in groups.items()
        for static, place in places.items()
        if len(own) and (called == "all six" or static == LARGE)
    ]


def averaged(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """`metric` in the mean over all that runs of one router, network and seed differ in."""
    keys = [name for name in ("system", NETWORK, "seed") if name in table]
    return table.groupby(keys, dropna=False, as_index=False)[metric].mean()


def by_process(table: pd.DataFrame) -> list[tuple[str, float, pd.DataFrame]]:
    """The runs by how requests come, and how fast."""
    found = {(str(name), float(rate)): own for (name, rate), own in table.groupby(["trace", "trace.rate"])}
    return [(PROCESSES[name], rate, found[name, rate]) for name, rate in sorted(found, key=_place)]


def _place(key: tuple[str, float]) -> tuple[int, float]:
    return [*PROCESSES].index(key[0]), key[1]


def over_static(stored: Stored, sweep: str) -> list[Found]:
    """By how much the learned router's performance is above that of the best static serving, %."""
    table = runs(stored, sweep)
    return [Found(where, compared(own, LEARNED, best(own, STATIC), "performance")) for where, own in by_setting(table)]


def over_rules(stored: Stored) -> list[Found]:
    """The same over the best rule."""
    table = runs(stored, UNPREDICTABLE)
    return [
        Found(f"{called}, {rate:g} requests/s", compared(own, LEARNED, best(own, RULES), "performance"))
        for called, rate, own in by_process(table)
    ]


def by_setting(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The runs by how requests come, which tasks they are and how fast: whichever of these differ."""
    words: dict[str, Callable[[Any], str]] = {
        "trace": lambda name: PROCESSES[name],
        "trace.shifted": mostly,
        "trace.rate": lambda rate: f"{rate:g} requests/s",
    }
    names = [name for name in words if name in table and table[name].map(str).nunique() > 1]
    groups = table.groupby([table[name].map(words[name]) for name in names], sort=False)
    return [(", ".join(map(str, called)), own) for called, own in groups]


def mostly(shares: Any) -> str:
    """The task that most of the requests are of, by the `shares` of a run as they are told in its settings."""
    found: dict[str, float] = shares if isinstance(shares, dict) else yaml.safe_load(str(shares))
    return f"mostly {max(found, key=lambda name: found[name])}"


def per_gpu(stored: Stored) -> list[Found]:
    """How many times the performance a GPU of the large model on eight GPUs the learned router has on four."""
    routed, static = (stored.table(f"best_effort/gpus_{name}") for name in ("learned", "static"))
    found = []
    for rate, own in routed.groupby("trace.rate"):
        ours = of(own, system=LEARNED, **{GPUS[2].replace(".", "__"): 2})
        eight = of(static, trace__rate=rate, **{GPUS[2].replace(".", "__"): 8})
        both = cells(ours, "performance") / 4, cells(eight, "performance") / 8
        found.append(Found(f"{rate:g} requests/s", levels.times(*both)))
    return found


def cost_of_routing(stored: Stored) -> list[Found]:
    """By how much performance changes where the learned router's seconds are charged, %, by what they are."""
    table = stored.table("best_effort/router_cost")
    seconds = "policy.overhead.route_seconds"
    free = of(table, **{seconds.replace(".", "__"): 0.0})
    return [
        Found(f"{1e6 * cost:g} us, {rate:g} requests/s", levels.percent(*(cells(one, "performance") for one in pair)))
        for (cost, rate), own in table[table[seconds] > 0].groupby([seconds, "trace.rate"])
        for pair in [(own, of(free, trace__rate=rate))]
    ]
