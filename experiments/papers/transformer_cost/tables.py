"""Our values for the survey's claims. Nothing is drawn: a value has an interval of no width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from experiments.claims import Found
from experiments.figures.stored import Stored, of
from experiments.papers.transformer_cost import published
from experiments.tables.stats import Interval
from profiles.devices import datasheet
from profiles.operators.layers import NONLINEAR

SETTINGS = ("trace.lengths.prompt", "trace.lengths.output")
ENCODERS, DECODER = "transformer_cost/encoders", "transformer_cost/decoder"
CPU = "survey_xeon"
LATENCY = "response_time_mean"
STATED: dict[str, Mapping[str, Sequence[float]]] = {
    "flops": published.FLOPS,
    "mops": published.MOPS,
    "intensity": published.INTENSITY,
    "latency": published.LATENCY,
}


def exact(value: float) -> Interval:
    """A value that no draw went into."""
    return Interval(float(value), 0.0)


def by_length(stored: Stored, model: str, cluster: str = CPU) -> pd.DataFrame:
    """The runs of a model on a cluster by `length`: of BERT's sequence, of what GPT-2 generates."""
    decodes = model == "gpt2"
    rows = of(stored.table(DECODER if decodes else ENCODERS), model=model, cluster=cluster)
    length = rows["trace.lengths.output" if decodes else "trace.lengths.prompt"]
    return rows.assign(length=length.astype(int)).sort_values("length").set_index("length")


def values(stored: Stored, what: str, model: str) -> pd.Series:
    """FLOPs or traffic (10^9), intensity, or latency beside BERT-Base's at 128 tokens, by length."""
    rows = by_length(stored, model)
    if what == "latency":
        return rows[LATENCY] / by_length(stored, "bert-base")[LATENCY].loc[128]
    if what == "intensity":
        return rows["costs.flops"] / rows["costs.elements"]
    return rows["costs.flops" if what == "flops" else "costs.elements"] / 1e9


def beside(stored: Stored, what: str, model: str, lengths: Sequence[int]) -> list[Found]:
    """Ours over the survey's, by length."""
    theirs = STATED[what][model]
    ours, at = values(stored, what, model), dict(zip(published.LENGTHS, theirs, strict=True))
    return [Found(f"{length} tokens", exact(ours.loc[length] / at[length])) for length in lengths]


def peak(stored: Stored, model: str) -> list[Found]:
    """The length of the greatest arithmetic intensity, tokens."""
    return [Found("", exact(values(stored, "intensity", model).idxmax()))]


def share(stored: Stored, kinds: Sequence[str], of_what: str, lengths: Sequence[int], model: str) -> list[Found]:
    """The share of kinds of operators in flops, elements or seconds, %, by length."""
    rows = by_length(stored, model)
    shares = 100 * sum(rows[f"costs.{of_what}.{kind}"] for kind in kinds) / rows[f"costs.{of_what}"]
    return [Found(f"{length} tokens", exact(shares.loc[length])) for length in lengths]


def other(stored: Stored, at: int) -> list[Found]:
    """The share of what is no product in BERT-Base's traffic, %."""
    return share(stored, NONLINEAR, "elements", (at,), "bert-base")


def nonlinear(stored: Stored) -> list[Found]:
    """The share of what is no product in seconds of the layers, %: the mean over models and lengths, by device."""
    found = []
    for cluster in ("survey_xeon", "survey_a100", "survey_a100_eager", "survey_xavier"):
        rows = pd.concat([by_length(stored, model, cluster) for model in published.FLOPS])
        shares = 100 * sum(rows[f"costs.seconds.{kind}"] for kind in NONLINEAR) / rows["costs.seconds"]
        found.append(Found(cluster.removeprefix("survey_"), exact(shares.mean())))
    return found


def ridge(stored: Stored, device: str) -> list[Found]:
    """FLOPs a byte at which computing and moving take as long, of the datasheet's peaks."""
    sheet = datasheet(device)
    assert sheet is not None
    return [Found("", exact(sheet.flops_per_second["bfloat16"] / sheet.bytes_per_second))]


def nothing(stored: Stored) -> list[Found]:
    """What cannot be told here."""
    return [Found("", Interval(math.nan, math.nan))]
