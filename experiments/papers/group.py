"""Papers whose figures are made together, from one folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from experiments.figures import paper
from experiments.figures.stored import Figure


def drawn(papers: Sequence[str]) -> tuple[dict[str, dict[str, Figure]], list[str]]:
    """The FIGURES of each of `papers` by its name, and the SETTINGS that tell the runs of all of them apart."""
    names = {name: f"experiments.papers.{name}.figures" for name in papers}
    modules = {name: import_module(module) for name, module in names.items() if find_spec(module)}
    settings = dict.fromkeys(setting for module in modules.values() for setting in module.SETTINGS)
    return {name: module.FIGURES for name, module in modules.items()}, [*settings]


def make(group: str, papers: Sequence[str], about: str, arguments: list[str] | None) -> int:
    """Make what `arguments` name of the figures of `papers`; `about` tells of them."""
    each, settings = drawn(papers)
    figures = {name: figure for own in each.values() for name, figure in own.items()}
    return paper.make(group, figures, settings, about, arguments)
