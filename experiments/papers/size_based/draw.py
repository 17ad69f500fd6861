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
from experiments.figures.stored import Figure

PAPERS = ("ssjf", "fastserve", "trail", "ltr", "alise", "size_based")


def drawn() -> tuple[dict[str, dict[str, Figure]], list[str]]:
    """The FIGURES of each paper by its name, and the SETTINGS that tell the runs of all of them apart."""
    names = {name: f"experiments.papers.{name}.figures" for name in PAPERS}
    modules = {name: import_module(module) for name, module in names.items() if find_spec(module)}
    settings = dict.fromkeys(setting for module in modules.values() for setting in module.SETTINGS)
    return {name: module.FIGURES for name, module in modules.items()}, [*settings]


def main(arguments: list[str] | None = None) -> int:
    """Make what `arguments` name."""
    papers, settings = drawn()
    figures = {name: figure for own in papers.values() for name, figure in own.items()}
    return paper.make("size_based", figures, settings, __doc__ or "", arguments)
