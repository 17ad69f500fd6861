"""Every figure and table of the shoot-out, from stored results.

    tokenyard figures shootout                    # all of them, into results/figures/shootout/
    tokenyard figures shootout load               # this one
    tokenyard figures shootout --results other --output drawn

What each one shows; the sweeps that make its results are `tokenyard -m experiment=shootout/NAME`:
"""

from __future__ import annotations

from experiments.figures import paper
from experiments.papers.shootout.figures import FIGURES, SETTINGS


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return paper.make("shootout", FIGURES, SETTINGS, __doc__ or "", arguments)
