"""What the response time of each request is made of: parts in seconds that add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.run.results import Folder
from experiments.tables.requests import measured
from sim.metrics import response_time

SPANS = "spans.parquet"
PARTS = (
    "queueing", "prefill", "decode", "preemption and recompute", "swap", "pauses", "transfer", "offload",
    "predictor", "scheduler",
)  # fmt: skip
OF_SPANS = {
    "queued": "queueing",
    "prefill": "prefill",
    "decode": "decode",
    "preempted": "preemption and recompute",
    "recompute": "preemption and recompute",
    "swapped": "swap",
    "paused": "pauses",
    "transferred": "transfer",
    "asked": "predictor",
}
OTHER_KIND = "cpu"  # of the replicas to which is offloaded
TOLD = ("arrival", "prompt_tokens", "output_tokens", "preemptions", "replica_kind", "response_time")
READ = (
    "id", "status", "queued", "first_scheduled", "first_token", "finished", "call_seconds", "renewed_seconds",
    "routing_seconds",
)  # fmt: skip
Floats = NDArray[np.float64]


def of_folder(folder: Folder) -> pd.DataFrame:
    """A row a measured and finished request of a run, by its id: what TOLD names, and its seconds in each part.

    Of a request that another kind of replica served it is told what it spent its time on there, not `offload`.
    """
    requests = measured(folder, [*READ, *TOLD])
    found = split(folder, requests, (folder.path / SPANS).exists(), offload=False)
    return requests.set_index("id")[list(TOLD)].join(found[seconds_in(found)])


def split(folder: Folder, requests: pd.DataFrame, spans: bool, offload: bool = True) -> pd.DataFrame:
    """The parts of each finished one of these `requests` of a run, by id, from its spans or from its instants.

    RuntimeError if those of a request do not add up to its response time.
    """
    if spans:
        kept, steps = (pd.read_parquet(folder.path / name) for name in (SPANS, "steps.parquet"))
        found = of_spans(requests, kept, steps, folder.made_of()["config"], offload)
    else:
        found = of_requests(requests, offload)
    finished = requests[requests["status"] == "finished"].set_index("id")
    off = (found[list(PARTS)].sum(axis=1) - response_time(dict(finished.items()))).abs()
    if len(off) and not off.max() < 1e-6:
        raise RuntimeError(f"the parts of request {off.idxmax()} add up to {off.max():g} s more or less than it took")
    return found


def of_spans(
    requests: pd.DataFrame, spans: pd.DataFrame, steps: pd.DataFrame, config: Mapping[str, Any], offload: bool = True
) -> pd.DataFrame:
    """The parts of each finished request, by id, from the spans of its run, which `config` was the configuration of.

    The scheduler's seconds are taken out of the steps in which a request runs, and put beside the router's, unless
    steps are planned ahead: then the device does not wait for them. What is `offload`, if that is told, is all time on
    a replica of the kind `cpu`. `batch_jobs` / `batch_weight` is how many ran in the steps in which a request decoded
    elsewhere, weighted by their time. ValueError for a kind of span that is not known here.
    """
    if unknown := sorted(set(spans["span"].astype(str)) - set(OF_SPANS)):
        raise ValueError(f"{SPANS} has spans that nobody knows: {', '.join(unknown)}")
    finished = requests[requests["status"] == "finished"].set_index("id")
    spans = spans[spans["request"].isin(finished.index)]
    elsewhere = spans["replica"].map(kinds(config)).eq(OTHER_KIND).to_numpy()
    state = spans["span"].astype(str).map(OF_SPANS)
    part = np.where(elsewhere & offload, "offload", state)
    seconds = (spans["end"] - spans["start"]).to_numpy()
    runs = (spans["first_step"] >= 0).to_numpy()
    ahead = plans_ahead(config)
    waited = np.zeros(len(spans))
    weight, jobs = np.zeros(len(spans)), np.zeros(len(spans))
    for replica, own in steps.groupby("replica", sort=False):
        rows = np.flatnonzero(runs & (spans["replica"] == replica).to_numpy())
        first, behind = spans["first_step"].to_numpy()[rows], spans["last_step"].to_numpy()[rows] + 1

        def within(values: Floats, first: Any = first, behind: Any = behind) -> Floats:
            sums = np.concatenate(([0.0], np.cumsum(values)))
            return np.asarray(sums[behind] - sums[first])

        lasted = own["seconds"].to_numpy()
        weight[rows], jobs[rows] = within(lasted), within(lasted * own["running"].to_numpy())
        if not ahead:
            waited[rows] = within(own["overhead_seconds"].to_numpy())
    table = pd.DataFrame({"request": spans["request"].to_numpy(), "part": part, "seconds": seconds - waited})
    found = table.pivot_table("seconds", "request", "part", "sum").reindex(finished.index).reindex(columns=list(PARTS))
    found = found.fillna(0.0)
    charged = pd.Series(waited).groupby(spans["request"].to_numpy()).sum().reindex(finished.index, fill_value=0.0)
    found["scheduler"] += charged + finished["routing_seconds"]
    found["predictor"] -= finished["routing_seconds"]
    renewed = np.minimum(finished["renewed_seconds"], found["pauses"])
    found["pauses"] -= renewed
    found["predictor"] += renewed
    decodes = (state == "decode").to_numpy() & ~elsewhere
    sums = pd.DataFrame({"weight": weight * decodes, "jobs": jobs * decodes}).groupby(spans["request"].to_numpy()).sum()
    found["batch_weight"] = sums["weight"].reindex(finished.index)
    found["batch_jobs"] = sums["jobs"].reindex(finished.index)
    return found


def of_requests(requests: pd.DataFrame, offload: bool = True) -> pd.DataFrame:
    """As `of_spans`, from the instants of requests.parquet alone: fewer parts.

    Preemption, swap and transfer are in prefill (before the first token) and in decode (after it), and so are the
    scheduler's own seconds; in a static batch, which shows no first token, prefill is in decode.
    """
    finished = requests[requests["status"] == "finished"].set_index("id")
    found = pd.DataFrame(0.0, index=finished.index, columns=list(PARTS))
    elsewhere = finished["replica_kind"].eq(OTHER_KIND) & offload
    routing, renewed = finished["routing_seconds"], finished["renewed_seconds"]
    first = finished["first_token"].fillna(finished["first_scheduled"])
    found["scheduler"] = routing
    found["predictor"] = finished["queued"] - finished["arrival"] - routing
    found["queueing"] = (finished["first_scheduled"] - finished["queued"]).where(~elsewhere, 0.0)
    found["prefill"] = (first - finished["first_scheduled"]).where(~elsewhere, 0.0)
    found["offload"] = (finished["finished"] - finished["queued"]).where(elsewhere, 0.0)
    found["decode"] = (finished["finished"] - first).where(~elsewhere, 0.0)
    called = finished["call_seconds"] + renewed
    for name in ("decode", "offload"):
        found[name] -= called.where(elsewhere == (name == "offload"), 0.0)
    found["pauses"], found["predictor"] = finished["call_seconds"], found["predictor"] + renewed
    found["batch_weight"] = found["batch_jobs"] = np.nan
    return found


def seconds_in(table: pd.DataFrame) -> list[str]:
    """The parts, in order, of which some request has any."""
    return [name for name in PARTS if name in table and table[name].any()]


def kinds(config: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each device."""
    return {name: str(entry["kind"]) for name, entry in devices(config).items()}


def devices(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of each device, by its name, as `build_cluster` calls them."""
    found: dict[str, Any] = {}
    for name, entry in config["cluster"]["devices"].items():
        found |= {name if entry["count"] == 1 else f"{name}{number}": entry for number in range(entry["count"])}
    return found


def plans_ahead(value: Any) -> bool:
    """Whether a part of a configuration plans steps ahead."""
    if isinstance(value, Mapping):
        return bool(value.get("plans_ahead")) or any(map(plans_ahead, value.values()))
    return False
