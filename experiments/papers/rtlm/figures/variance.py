"""Subsets of small, normal and large variance of uncertainty (rtlm/variance)."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.stored import Stored
from experiments.papers.rtlm.figures import conditions

CONDITION = conditions.Condition(
    name="variance",
    sweep="rtlm/variance",
    x="trace.variance",
    xlabel="variance of uncertainty, times that of all messages",
    other="trace.correlation",
    other_label="correlation",
    about="Mean response time against FIFO's on the same subset; rows: rank correlation of uncertainty and length.",
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    return conditions.make(CONDITION, stored, output)
