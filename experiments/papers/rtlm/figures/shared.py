"""What RT-LM's figures share: systems, models and platforms in order, how they are drawn, and paired changes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from experiments.figures import drawing, stored
from experiments.figures.drawing import Panels
from experiments.figures.stored import METRICS
from experiments.figures.style import Look, look

SETTINGS = ("load", "trace.workload", "trace.correlation", "trace.requests")
CELL = ("model", "cluster", *SETTINGS)  # with the seed, what the requests of a trace depend on in most sweeps
WORKLOADS = ("trace.workload",)  # over which a figure averages, unless it says otherwise
MODELS = ("dialogpt-small", "godel-base", "blenderbot-400m", "bart-base", "t5-small")
SYSTEMS = (
    "fifo", "hpf", "luf", "muf", "sjf_oracle", "up", "consolidation", "offload", "up_consolidation", "up_offload",
    "consolidation_offload", "rtlm", "rtlm_recalled",
)  # fmt: skip
CLUSTERS = {"rtlm_server": "server", "rtlm_edge": "edge"}
LOOKS: Mapping[Hashable, Look] = {
    "sjf_oracle": look("sjf"),
    "up_offload": Look("#e69f00", "d", (3, 1.5)),
    "consolidation_offload": Look("#0072b2", "h", (3, 1.5)),
    "rtlm_recalled": Look("#7f4f24", "p", (1, 1.5)),
}


def look_of(system: str) -> Look:
    """How a system is drawn."""
    return LOOKS.get(system) or look(system)


def against(
    table: pd.DataFrame, reference: pd.DataFrame, at: Sequence[str] = CELL, metrics: Iterable[str] = METRICS
) -> pd.DataFrame:
    """`stored.against`, by default on the same requests."""
    return stored.against(table, reference, at, metrics)


def over_seeds(
    table: pd.DataFrame, by: Sequence[str], metrics: Iterable[str] = METRICS, averaged: Sequence[str] = WORKLOADS
) -> pd.DataFrame:
    """`stored.over_seeds`, by default averaged over the workloads."""
    return stored.over_seeds(table, by, metrics, averaged)


def draw(table: pd.DataFrame, panels: Panels, caption: str, looks: Mapping[Any, Look] | None = None) -> Drawing:
    """`drawing.draw`, with RT-LM's names in order."""
    ours = replace(panels, known=(*CLUSTERS, *MODELS, *SYSTEMS), called=CLUSTERS)
    return drawing.draw(table, ours, caption, {**LOOKS, **(looks or {})})
