"""Every figure of TIE and A_min, orders that go by a predicted distribution, from stored results.

    tokenyard figures distributions                      # all of them, into results/figures/distributions/
    tokenyard figures distributions tie                  # this one
    tokenyard figures distributions --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.figures import paper
from experiments.papers.distributions.figures import FIGURES, SETTINGS


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return paper.make("distributions", FIGURES, SETTINGS, __doc__ or "", arguments)
