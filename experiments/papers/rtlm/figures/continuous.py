"""Is order worth it when batches are continuous, as on vLLM? Beside static batches (rtlm/continuous, rtlm/main)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.figures.drawing import PAIRED, Panels, provenance_of
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import SYSTEMS, against, draw, over_seeds

KEYS = ["model", "batching", "load", "system"]
ABOUT = (
    "Averaged over the same workloads; load: arrivals as a multiple of what full static batches serve, under both "
    "kinds of batching; as many places in a continuous batch as in the best static one."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw seconds and changes, and write the table; their files."""
    continuous = stored.table("rtlm/continuous").assign(batching="continuous")
    static = stored.table("rtlm/main").assign(batching="static")
    same = [static[name].isin(continuous[name]) for name in ("model", "cluster", "trace.workload")]
    kinds = [static[np.logical_and.reduce(same)], continuous]
    if not len(kinds[0]):
        raise ValueError("rtlm/main has no runs of a model, platform and workload of rtlm/continuous")
    seconds = over_seeds(pd.concat(kinds), KEYS, ["response_time_mean"])
    changes = over_seeds(pd.concat([against(table, of(table, system="fifo")) for table in kinds]), KEYS)
    provenance = provenance_of(pd.concat(kinds))
    parts = {
        "continuous_seconds": (seconds, "mean response time (s)", "", f"{ABOUT} Bars: 95 % intervals over seeds."),
        "continuous": (changes, "change of mean response time (%)", "fifo", f"{ABOUT} {PAIRED}"),
    }
    files = []
    for name, (table, label, zero, about) in parts.items():
        panels = Panels(
            "load", "response_time_mean", "model", "batching", xlabel="load", row_inches=2.6, ylabel=label, zero=zero,
            log=not zero,
        )  # fmt: skip
        files += save(draw(table, panels, f"{about} {provenance}"), output / name)
    labels = {metric: f"{text} (%)" for metric, text in METRICS.items()}
    both = seconds.rename(columns={"response_time_mean": "seconds"}).merge(changes.drop(columns="seeds"), on=KEYS)
    both = both.sort_values(KEYS, key=ordering(("static", "continuous", *SYSTEMS)))
    return files + written(
        both.rename(columns=labels), output / "continuous", "Static and continuous batching: change against FIFO",
        f"{ABOUT} seconds: mean response time. Changes in % against fifo under the same batching, with 95 % "
        "intervals (docs/statistics.md).",
        {"seconds": ".3f"} | dict.fromkeys(labels.values(), "+.1f"),
    )  # fmt: skip
