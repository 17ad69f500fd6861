"""The figures and tables of one paper, made from stored results: what `tokenyard figures PAPER` does."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.figures.stored import Figure, Stored


def make(
    paper: str, figures: Mapping[str, Figure], settings: Sequence[str], about: str, arguments: list[str] | None
) -> int:
    """Make what was asked for; 1 if none of it could be made, 2 for a name that is not known.

    `settings` tell the traces of its sweeps apart, `about` tells of the paper.
    """
    lines = "\n".join(f"  {name:12} {figure.about}" for name, figure in figures.items())
    parser = argparse.ArgumentParser(
        description=f"{about}\n{lines}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of these figures and tables (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all sweeps (default: results)")
    parser.add_argument("--output", type=Path, help=f"folder of the figures (default: RESULTS/figures/{paper})")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in figures]:
        parser.error(f"{paper} has no {', '.join(unknown)}: it has {', '.join(figures)}")
    stored, output = Stored(options.results, settings), options.output or options.results / "figures" / paper
    made = 0
    for name in options.names or figures:
        start = time.perf_counter()
        try:
            files = figures[name].make(stored, output)
        except (FileNotFoundError, ValueError) as error:
            print(f"{paper} {name}: {error}", file=sys.stderr)
            continue
        made += 1
        print(f"{paper} {name}: {len(files)} files in {output}, {time.perf_counter() - start:.0f} s")
    return 0 if made else 1
