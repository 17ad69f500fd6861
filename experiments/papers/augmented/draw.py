"""Every figure and table of requests that call out (INFERCEPT, LAMPS), from stored results.

    tokenyard figures augmented                     # all of them, into results/figures/augmented/
    tokenyard figures augmented waste               # this one
    tokenyard figures augmented --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.papers import group

PAPERS = ("infercept", "lamps", "augmented")


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return group.make("augmented", PAPERS, __doc__ or "", arguments)
