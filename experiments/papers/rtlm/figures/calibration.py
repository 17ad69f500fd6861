"""What RT-LM's offline profiling finds for each model and platform: phi, eta, C_f, kappa and tau (rtlm/main)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.stored import Stored, of, ordering
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import MODELS

CONSTANTS = {  # column -> what it is called, its factor, its format
    "calibration.phi": ("phi (µs/prompt token)", 1e6, ".3g"),
    "calibration.eta": ("eta (ms/output token)", 1e3, ".3g"),
    "calibration.batch_size": ("C_f", 1.0, ".0f"),
    "calibration.kappa": ("kappa", 1.0, ".2f"),
    "calibration.tau": ("tau (tokens)", 1.0, ".1f"),
}


def make(stored: Stored, output: Path) -> list[Path]:
    """Write the table; its files."""
    table = of(stored.table("rtlm/main"), system="rtlm")
    rows = [
        {"model": model, "cluster": cluster}
        | {name: spread(factor * runs[column], form) for column, (name, factor, form) in CONSTANTS.items()}
        for (model, cluster), runs in table.groupby(["model", "cluster"])
    ]
    found = pd.DataFrame(rows).sort_values(["model", "cluster"], key=ordering((*MODELS, "rtlm_server")))
    return written(
        found, output / "calibration", "RT-LM's constants, found offline",
        "From smallest to largest over workloads, where they differ. tau is the k-quantile of the predictions for the "
        "training prompts; kappa is told, and used by nothing.",
        {},
    )  # fmt: skip


def spread(values: pd.Series, form: str) -> str:
    """The value, or the smallest and the largest."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
