"""Every figure and table of scheduling by size (SSJF, FastServe, TRAIL, LTR, ALISE), from stored results.

    tokenyard figures size_based                    # all of them, into results/figures/size_based/
    tokenyard figures size_based ssjf_simulator     # this one
    tokenyard figures size_based --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.papers import group

PAPERS = ("ssjf", "fastserve", "trail", "ltr", "alise", "size_based")


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return group.make("size_based", PAPERS, __doc__ or "", arguments)
