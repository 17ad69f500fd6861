"""RT-LM under perfect, learned and shuffled predictions (rtlm/predictions, rtlm/ablation)."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.stored import Stored
from experiments.papers.rtlm.figures import conditions

CONDITION = conditions.Condition(
    name="predictions",
    sweep="rtlm/predictions",
    x="predictor",
    xlabel="predictor",
    other="trace.correlation",
    other_label="correlation",
    order=("oracle", "lw", "shuffled"),
    reference="rtlm/ablation",
    about=(
        "Mean response time against FIFO's on the same requests, which asks no predictor; rows: rank correlation of "
        "uncertainty and length. The oracle and the shuffled predictions take no time."
    ),
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    return conditions.make(CONDITION, stored, output)
