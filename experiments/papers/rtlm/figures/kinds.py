"""Output length and latency by kind of uncertainty and model, from requests that do not queue (rtlm/kinds)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import Panels, provenance_of
from experiments.figures.stored import Stored, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import MODELS, draw, over_seeds

SWEEP = "rtlm/kinds"
KINDS = ("plain", "structural", "syntactic", "semantic", "vague", "open_ended", "multi_part")
MEANS = {"tokens": "mean output tokens", "seconds": "mean latency (s)"}
FEW = 100  # requests over all seeds, below which a kind says how many it has
ABOUT = (
    "Requests of all workloads together, by the kind of uncertainty that is strongest in the message (plain: none); at "
    "load 0.05, so that latency is the predictor's time, the wait for a batch under way, and service. Bars: 95 % "
    "intervals over seeds."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    table = stored.table(SWEEP)
    requests = pd.concat(
        stored.requests(SWEEP, run, ["output_tokens", "arrival", "finished", "task"]).assign(model=model, seed=seed)
        for run, model, seed in table[["run", "model", "seed"]].itertuples(index=False)
    )
    found = by_kind(requests).sort_values(["model", "task"], key=ordering((*MODELS, *KINDS)))
    rows = [
        found.assign(row=label, mean=found[name])[["model", "task", "requests", "row", "mean"]]
        for name, label in MEANS.items()
    ]
    drawn = pd.concat(rows).assign(all="all")
    panels = Panels("task", "mean", "row", "model", lines="all", zero="", order=KINDS)
    few = found[found["requests"] < FEW]
    note = f"{ABOUT} Few: {', '.join(f'{row.model} {row.task} n = {row.requests}' for row in few.itertuples())}."
    note = note if len(few) else ABOUT
    return [
        *save(draw(drawn, panels, f"{note} {provenance_of(table)}", {"all": Look("#332288", "o")}), output / "kinds"),
        *written(
            found.rename(columns=MEANS), output / "kinds", "Output length and latency by kind of uncertainty", note,
            {MEANS["tokens"]: ".1f", MEANS["seconds"]: ".3f"},
        ),
    ]  # fmt: skip


def by_kind(requests: pd.DataFrame) -> pd.DataFrame:
    """A row for each model and task: how many `requests` over all seeds, and the means of a seed with intervals."""
    timed = requests.assign(seconds=requests["finished"] - requests["arrival"], tokens=requests["output_tokens"])
    per_seed = timed.groupby(["model", "task", "seed"], as_index=False)[list(MEANS)].mean()
    counts = timed.groupby(["model", "task"], as_index=False).size().rename(columns={"size": "requests"})
    return counts.merge(over_seeds(per_seed, ["model", "task"], MEANS, averaged=()), on=["model", "task"])
