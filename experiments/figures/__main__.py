"""Every figure and table of a paper, from stored results.

    python -m experiments.figures rtlm                          # all of RT-LM, into results/figures/rtlm/
    python -m experiments.figures rtlm main ablation            # these alone
    python -m experiments.figures rtlm --results other --output drawn

What each one shows, and the sweep that makes its results (`tokenyard -m experiment=NAME`):

"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from experiments.figures.stored import Stored
from experiments.papers import with_figures

PAPERS = {name: import_module(f"experiments.papers.{name}.figures") for name in with_figures()}


def main(arguments: list[str] | None = None) -> int:
    """Make what was asked for; 1 if none of it could be made, 2 for a name that is not known."""
    lines = [f"  {paper} {name:12} {figure.about}" for paper, made in PAPERS.items() for name, figure in made.FIGURES.items()]
    parser = argparse.ArgumentParser(
        prog="python -m experiments.figures",
        description=f"{__doc__}{chr(10).join(lines)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paper", choices=PAPERS)
    parser.add_argument("names", nargs="*", help="of its figures and tables (default: all)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of all sweeps (default: results)")
    parser.add_argument("--output", type=Path, help="folder of the figures (default: RESULTS/figures/PAPER)")
    options = parser.parse_args(arguments)
    paper = PAPERS[options.paper]
    figures = paper.FIGURES
    if unknown := [name for name in options.names if name not in figures]:
        parser.error(f"{options.paper} has no {', '.join(unknown)}: it has {', '.join(figures)}")
    stored, output = Stored(options.results, paper.SETTINGS), options.output or options.results / "figures" / options.paper
    made = 0
    for name in options.names or figures:
        start = time.perf_counter()
        try:
            files = figures[name].make(stored, output)
        except (FileNotFoundError, ValueError) as error:
            print(f"{options.paper} {name}: {error}", file=sys.stderr)
            continue
        made += 1
        print(f"{options.paper} {name}: {len(files)} files in {output}, {time.perf_counter() - start:.0f} s")
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
