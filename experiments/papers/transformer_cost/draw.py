"""Every figure and table of what a pass costs (the full-stack survey, MobiLlama, InfLLM), from stored results.

    tokenyard figures transformer_cost                     # all of them, into results/figures/transformer_cost/
    tokenyard figures transformer_cost survey_shares       # this one
    tokenyard figures transformer_cost --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from experiments.papers import group

PAPERS = ("transformer_cost", "mobillama", "infllm")


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    return group.make("transformer_cost", PAPERS, __doc__ or "", arguments)
