"""Every figure and table of learned best-effort serving, from stored results.

    tokenyard figures best_effort                   # all of them, into results/figures/best_effort/
    tokenyard figures best_effort stable            # this one
    tokenyard figures best_effort --results other --output drawn

What each one shows, and the sweeps that make its results (`tokenyard -m experiment=NAME`, and NAME_learned):
"""

from __future__ import annotations

from experiments.figures import paper
from experiments.papers.best_effort.figures import FIGURES, SETTINGS


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return paper.make("best_effort", FIGURES, SETTINGS, __doc__ or "", arguments)
