"""Every figure and table of several tokens a pass (BiLD, SPEED, draft-and-verify), from stored results.

    tokenyard figures speculative                     # all of them, into results/figures/speculative/
    tokenyard figures speculative bild_thresholds     # this one
    tokenyard figures speculative --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.papers import group

PAPERS = ("bild", "speed", "speculative")


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return group.make("speculative", PAPERS, __doc__ or "", arguments)
