"""Every figure and table of RT-LM (RTSS 2023), from stored results.

    tokenyard figures rtlm                          # all of them, into results/figures/rtlm/
    tokenyard figures rtlm main ablation            # these alone
    tokenyard figures rtlm --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.figures import paper
from experiments.papers.rtlm.figures import FIGURES, SETTINGS


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return paper.make("rtlm", FIGURES, SETTINGS, __doc__ or "", arguments)
