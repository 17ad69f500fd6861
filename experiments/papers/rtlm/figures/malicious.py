"""What a share of malicious requests does to each system (rtlm/malicious)."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.stored import Stored
from experiments.papers.rtlm.figures import conditions

CONDITION = conditions.Condition(
    name="malicious",
    sweep="rtlm/malicious",
    x="trace.malicious_share",
    xlabel="share of malicious requests",
    other="calibration.malicious_quantile",
    other_label="k",
    about="Mean response time against FIFO's under the same share; rows: k, the quantile above which RT-LM offloads.",
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    return conditions.make(CONDITION, stored, output)
