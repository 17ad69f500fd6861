"""How strongly texts must foretell lengths for RT-LM to pay (rtlm/strength)."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.stored import Stored
from experiments.papers.rtlm.figures import conditions

CONDITION = conditions.Condition(
    name="strength",
    sweep="rtlm/strength",
    x="trace.correlation",
    xlabel="rank correlation of uncertainty and length",
    about="Mean response time against FIFO's on the same requests.",
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    return conditions.make(CONDITION, stored, output)
