"""Write one HTML page of results: what was run, tables with intervals, warnings, plots, the slowest requests and why.

    tokenyard report results/mine                                      # results/mine/report.html
    tokenyard report results/mine --reference policy=sjf --output page.html
    tokenyard report results/one results/other                         # several folders on one page

The page needs no network: pictures are inside it, and nothing is loaded. A FOLDER is a run, a sweep, or holds several.
Runs with record=jobs tell what the slowest requests waited for by spans, others by their instants.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from tqdm import tqdm

from experiments.report import compared, doubts, plots, ran, slowest
from experiments.report.page import document, tag
from experiments.report.sweep import Sweep, read, varying
from experiments.run.written import write_whole
from experiments.tables.labels import shown

SECTIONS: dict[str, Callable[[Sweep], Sequence[Element]]] = {
    "What was run": ran.differing,
    "Limits of the engine": ran.limits,
    "Compared": compared.tables,
    "Metrics": plots.metrics,
    "Distributions": plots.distributions,
    "Where the time goes": plots.where_time_goes,
    "The slowest requests": slowest.slowest,
    "Provenance": ran.provenance,
}


def head(sweep: Sweep) -> list[Element]:
    """The title, what was run in a sentence, and the warnings."""
    runs = sweep.table["run"].nunique()
    counts = {name: sweep.table[name].map(shown).nunique() for name in varying(sweep.table)}
    plain = [name for name in counts if not name.startswith(("policy", "predictor", "system"))]
    parts = [f"{len(sweep.policies())} policies" if len(sweep.policies()) > 1 else sweep.policies()[0]]
    parts += [f"{counts[name]} values of {name}" for name in plain if name != "seed"]
    parts += [f"{counts['seed']} seeds"] if "seed" in counts else ["one seed"]
    said = f"{runs:,} run{'s' if runs > 1 else ''}: {', '.join(parts)}."
    return [
        tag("h1", " and ".join(str(root) for root in sweep.roots)),
        tag("p", said, class_="dim"),
        *(tag("p", text, class_="warn") for text in doubts.doubts(sweep)),
    ]


def page(sweep: Sweep) -> str:
    """The whole page."""
    made = {name: make(sweep) for name, make in tqdm(SECTIONS.items(), desc="report", leave=False, disable=None)}
    return document(f"tokenyard: {' and '.join(root.name for root in sweep.roots)}", made, head(sweep))


def main() -> None:
    """Read, write, print where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results: a run, a sweep, or several")
    parser.add_argument(
        "--reference", help="what differences are taken from: a policy, a system, or KEY=VALUE (default: fifo)"
    )
    parser.add_argument("--output", type=Path, help="the page (default: report.html in the first FOLDER)")
    asked = parser.parse_args()
    try:
        output = asked.output or asked.folders[0] / "report.html"
        text = page(read(asked.folders, asked.reference))
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, text)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(output)
