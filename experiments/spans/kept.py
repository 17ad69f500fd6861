"""What a run left behind that kept its spans, and windows of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.run.results import Folder
from experiments.spans.perfetto import WAITS, counts
from experiments.tables.parts import SPANS, devices


class Run(NamedTuple):
    """What a run left: `steps` are numbered for each replica, as `first_step` and `last_step` of spans are.

    `blocks` are those of KV that each replica has, `name` is of its policy and seed.
    """

    folder: Path
    requests: pd.DataFrame
    spans: pd.DataFrame
    steps: pd.DataFrame
    blocks: Mapping[str, int]
    name: str

    def within(self, since: float, until: float) -> Run:
        """What was there between two instants, s; what reaches beyond them is there whole."""
        spans = self.spans[(self.spans["end"] > since) & (self.spans["start"] < until)]
        steps = self.steps
        steps = steps[(steps["end"] > since) & (steps["end"] - steps["seconds"] < until)]
        there = self.requests["id"].isin(spans["request"])
        return self._replace(requests=self.requests[there], spans=spans, steps=steps)


def read(folder: Folder) -> Run:
    """Of one run; ValueError if it has no spans."""
    path = folder.path
    if not (path / SPANS).exists():
        given = " ".join(folder.status().get("overrides", []))
        raise ValueError(f"{path} has no spans: make the run again with record=jobs (tokenyard {given} record=jobs)")
    requests, spans, steps = (pd.read_parquet(path / name) for name in ("requests.parquet", SPANS, "steps.parquet"))
    steps.index = pd.Index(steps.groupby("replica").cumcount(), name="step")
    tokens = {name: int(said.split()[0].replace(",", "")) for name, said in folder.summary()["kv"].items()}
    made_of = folder.made_of()
    sizes = {name: entry["block_size"] for name, entry in devices(made_of["config"]).items()}
    blocks = {name: count // sizes[name] for name, count in tokens.items()}
    choices, seed = made_of["choices"], made_of["config"]["seed"]
    system = choices.get("system")
    policy = system if system and system != "None" else choices["policy"]
    return Run(path, requests, spans, steps, blocks, f"{policy}, seed {seed}")


def window(run: Run, most: int) -> tuple[float, float]:
    """That of the whole run, or of about `most` requests around the instant at which most of them wait, s."""
    spans = run.spans
    if not len(spans):
        raise ValueError(f"{run.folder}: no request was served")
    if spans["request"].nunique() <= most:
        return float(spans["start"].min()), float(spans["end"].max())
    waiting = counts(spans, WAITS)
    at = float(waiting.loc[waiting["count"].idxmax(), "at"]) if len(waiting) else float(spans["start"].median())
    lives = spans.groupby("request").agg(start=("start", "min"), end=("end", "max"))
    apart = pd.concat([lives["start"] - at, at - lives["end"]], axis=1).max(axis=1).clip(lower=0)
    reach = float(apart.sort_values().iloc[most - 1])
    if reach == 0:  # more than so many are there at that instant
        reach = float((lives["end"] - lives["start"]).median()) / 2
    return max(float(spans["start"].min()), at - reach), min(float(spans["end"].max()), at + reach)


def life(run: Run, request: int) -> tuple[float, float]:
    """The window of one request and a tenth of it on either side, s; ValueError if it was not served."""
    own = run.spans[run.spans["request"] == request]
    if not len(own):
        raise ValueError(f"{run.folder}: request {request} was not served; there are 0 to {run.requests['id'].max()}")
    first, last = float(own["start"].min()), float(own["end"].max())
    return max(0.0, first - (last - first) / 10), last + (last - first) / 10
