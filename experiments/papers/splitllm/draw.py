"""Every figure and table of SplitLLM, from stored results.

    tokenyard figures splitllm                      # all of them, into results/figures/splitllm/
    tokenyard figures splitllm waits                # this one
    tokenyard figures splitllm --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.figures import paper
from experiments.papers.splitllm.figures import FIGURES, SETTINGS


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return paper.make("splitllm", FIGURES, SETTINGS, __doc__ or "", arguments)
