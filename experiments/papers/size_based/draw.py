"""Every figure and table of scheduling by size (SSJF, FastServe, TRAIL, LTR, ALISE), from stored results.

    tokenyard figures size_based                    # all of them, into results/figures/size_based/
    tokenyard figures size_based ssjf_simulator     # this one
    tokenyard figures size_based --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from experiments.figures import paper

PAPERS = ("ssjf", "fastserve", "trail", "ltr", "alise", "size_based")


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name, of the FIGURES of each paper, whose SETTINGS tell its runs apart."""
    names = [f"experiments.papers.{name}.figures" for name in PAPERS]
    modules = [import_module(name) for name in names if find_spec(name)]
    figures = {name: figure for module in modules for name, figure in module.FIGURES.items()}
    settings = dict.fromkeys(setting for module in modules for setting in module.SETTINGS)
    return paper.make("size_based", figures, [*settings], __doc__ or "", arguments)
