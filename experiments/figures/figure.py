"""Draw any metric against any setting, its distribution, or a heat map over two settings: PNG and PDF.

    tokenyard figure --x rate --y ttft_p99 --hue policy results/mine            # a line a policy, with 95 % intervals
    tokenyard figure --x rate --y ttft_p99 --reference fifo results/mine        # changes in %, of paired seeds
    tokenyard figure --cdf response_time --col rate results/mine                # all requests, on a logarithmic axis
    tokenyard figure --cdf response_time --tail --only rate=75 results/mine     # the share that took longer, too
    tokenyard figure --heat ttft_p99 --x rate --y policy results/mine           # two settings, a cell a combination

A metric is any number in summary.json (docs/results.md), a setting whatever the runs were given: `rate` is trace.rate.
Of single requests, --cdf takes any number in requests.parquet, and response_time, ttft, tpot, normalized_latency,
serving_time and longest_wait. Without --hue it is the policy. What else the runs differ in gets a row of panels for
each of its values, or a column; --only leaves runs out. Several FOLDERs are drawn together. docs/figures.md shows
examples.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.figures import charts, heat
from experiments.figures.chosen import Chosen, chosen, metrics_of, one_of, only
from experiments.figures.points import changes, points
from experiments.figures.style import provenance, save
from experiments.run.results import Folder
from experiments.tables.collect import collect, complete_folders
from experiments.tables.labels import settings_of
from experiments.tables.requests import measured, names
from experiments.tables.schema import unit_of

WORDS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "p50": "P50", "p90": "P90", "p95": "P95", "p99": "P99"}
SCALES = ("auto", "linear", "log")


def label_of(metric: str) -> str:
    """What stands at the axis of a metric: its name in words, and its unit."""
    words = " ".join(WORDS.get(word, word) for word in re.split(r"[_.]", metric))
    unit = unit_of(metric)
    return f"{words} ({unit})" if unit not in ("", "-") else words


def caption(table: pd.DataFrame, seeds: pd.Series, drawn: str) -> str:
    """Where the numbers come from, of how many seeds, what is drawn, and who is not in it."""
    low, high = int(seeds.min()), int(seeds.max())
    count = f"{low}" if low == high else f"{low} to {high}"
    many = f"Means over {count} seeds. {drawn}" if high > 1 else "One seed: no interval."
    lost = [f"{int(table[state].sum()):,} {state}" for state in ("rejected", "censored") if state in table]
    lost = [text for text in lost if not text.startswith("0 ")]
    more = f" Not in the times: {' and '.join(lost)} requests." if lost else ""
    return f"{provenance(table)} {many}{more}"


def draw(table: pd.DataFrame, folders: dict[str, Folder], asked: argparse.Namespace) -> Figure:
    """The figure that was asked for, of the runs in `table`; `folders` by `run`. ValueError for what is not there."""
    table = only(table, asked.only)
    if asked.cdf:
        return _distributions(table, folders, asked)
    metric = one_of(asked.heat or asked.y, metrics_of(table), "metric")
    names_of = Chosen(asked.x, asked.y if asked.heat else "", asked.hue, asked.row, asked.col)
    if asked.heat:
        names_of = replace(names_of, y=one_of(asked.y, settings_of(table), "setting"))
    table, along = chosen(table, names_of, asked.reference)
    label = label_of(metric)
    if asked.reference:
        found = changes(table, along.names, metric, asked.reference)
        drawn = (
            "Changes are ratios of means over the same seeds, less 1, of runs that replayed the same requests; "
            + ("bold: " if asked.heat else "bars: ")
            + ("the 95 % interval leaves out 0." if asked.heat else "95 % intervals of paired seeds.")
        )
    else:
        found = points(table, along.names, metric)
        drawn = (
            "±: half of the 95 % interval of that mean." if asked.heat else "Bars: 95 % intervals of that mean; "
            "compare two lines by their paired difference (--reference), not by overlap."
        )  # fmt: skip
    text = caption(table, found["seeds"], drawn)
    if asked.heat:
        return heat.draw(found, along, label, text, asked.reference, asked.scale)
    return charts.lines(found, along, label, text, asked.reference, asked.scale)


def _distributions(table: pd.DataFrame, folders: dict[str, Folder], asked: argparse.Namespace) -> Figure:
    table, along = chosen(table, Chosen("", "", asked.hue, asked.row, asked.col))
    known = names(folders[table["run"].iloc[0]])
    column = one_of(asked.cdf, known, "column of requests.parquet")
    requests = pd.concat(
        [
            measured(folders[row["run"]], [column]).assign(**{name: row[name] for name in (*along.names, "seed")})
            for _, row in table.iterrows()
        ],
        ignore_index=True,
    )
    if requests[column].notna().sum() == 0:
        raise ValueError(f"no request has a {column} in these runs")
    seeds = table.groupby(along.names, dropna=False)["seed"].nunique() if along.names else table[["seed"]].nunique()
    drawn = f"Bands: 95 % intervals of the mean share. {len(requests):,} requests, without the warm-up."
    return charts.distributions(requests, along, column, label_of(column), caption(table, seeds, drawn), asked.tail)


def _arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results: a run, a sweep, or several")
    kind = parser.add_argument_group("what is drawn (one of --x with --y, --cdf, --heat)")
    kind.add_argument("--x", default="", metavar="SETTING", help="the setting along the axis, as rate or trace.rate")
    kind.add_argument(
        "--y", default="", metavar="METRIC", help="the metric, as ttft_p99; with --heat the other setting"
    )
    kind.add_argument("--cdf", default="", metavar="COLUMN", help="the distribution of this number over requests")
    kind.add_argument("--tail", action="store_true", help="with --cdf: the share above each value, logarithmic")
    kind.add_argument("--heat", default="", metavar="METRIC", help="a heat map over the settings --x and --y")
    apart = parser.add_argument_group("what is told apart")
    apart.add_argument("--hue", default="", metavar="SETTING", help="a line for each of its values (default: policy)")
    apart.add_argument("--row", default="", metavar="SETTING", help="a row of panels for each of its values")
    apart.add_argument("--col", default="", metavar="SETTING", help="a column of panels for each of its values")
    apart.add_argument("--only", action="append", default=[], metavar="KEY=VALUE,...", help="these runs alone")
    apart.add_argument(
        "--reference", default="", metavar="POLICY", help="draw changes in %% from it, or from KEY=VALUE"
    )
    parser.add_argument(
        "--scale", choices=SCALES, default="auto", help="of the metric; auto: log where it spans a decade"
    )
    parser.add_argument(
        "--output", type=Path, metavar="STEM", help="of STEM.png and STEM.pdf (default: FOLDER/figures/...)"
    )
    return parser, parser.parse_args()


def _check(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    """Refuse what does not go together."""
    if asked.cdf and (asked.x or asked.y or asked.heat or asked.reference):
        parser.error("--cdf draws requests: it takes --hue, --row and --col, and no --x, --y, --heat or --reference")
    if not asked.cdf and not (asked.x and asked.y):
        parser.error("give --x SETTING --y METRIC, or --heat METRIC --x SETTING --y SETTING, or --cdf COLUMN")
    if asked.heat and asked.hue:
        parser.error("--heat has a colour for the metric, and none for --hue: give --row or --col")
    if asked.tail and not asked.cdf:
        parser.error("--tail is of a distribution: give --cdf COLUMN")


def main() -> None:
    """Read, draw, save; print where."""
    parser, asked = _arguments()
    _check(parser, asked)
    try:
        found = [folder for root in asked.folders for folder in complete_folders(root)]
        figure = draw(collect(found), {folder.path.name: folder for folder in found}, asked)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    parts = [asked.cdf or asked.heat or asked.y, "tail" if asked.tail else "", asked.x, asked.y if asked.heat else ""]
    name = "-".join(part.replace("/", "_") for part in parts if part)
    if asked.reference:
        name += "-against-" + re.sub(r"[^\w.=-]", "_", asked.reference)
    for path in save(figure, asked.output or asked.folders[0] / "figures" / name):
        print(path)


if __name__ == "__main__":
    sys.exit("this is now: tokenyard figure")
