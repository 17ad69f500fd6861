"""The tables of a page: policies side by side at equal settings, with intervals, and what a row is to be read with."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import pandas as pd

from experiments.figures.figure import label_of
from experiments.report.page import Cell, folded, table, tag
from experiments.report.sweep import Sweep
from experiments.tables.compare import HEADING, compare
from experiments.tables.footers import footers
from experiments.tables.stats import distinct, interval
from experiments.tables.why import of_folders

OPEN = 4  # tables that are not folded, where there are many
MORE = ("ttft_mean", "ttft_p50", "ttft_p99", "tpot_mean", "tpot_p99", "itl_p99", "normalized_latency_mean",
        "throughput_tokens", "longest_wait", "preemptions")  # fmt: skip
ASKED = ("goodput", "attain")  # in the names of what is told of a service level objective
CHANGE = re.compile(r"([+-][\d.]+) ± ([\d.]+)")


def tables(sweep: Sweep) -> list[Element]:
    """For each combination of settings a table, its footers, and why a row is worse than the reference."""
    found: list[Element] = [
        tag("p", f"{HEADING}. Green and red: the interval of the difference in seconds leaves out 0.", class_="dim")
    ]
    parts = list(sweep.apart())
    if text := sweep.reference.absent(sweep.table):
        found.append(tag("p", text, class_="dim"))
    for number, (name, own) in enumerate(parts):
        inside = _one(sweep, own)
        found += [folded(name, *inside, is_open=number < OPEN)] if name else inside
    return found


def _one(sweep: Sweep, own: pd.DataFrame) -> list[Element]:
    order = sweep.policies()
    own = own.sort_values("policy", key=lambda names: names.map(lambda name: order.index(str(name))), kind="stable")
    rows, notes = compare(own, sweep.reference, of_folders(sweep.folders))
    first = [
        name for name in rows if name in ("policy", sweep.reference.axis, "mean", "%") or name.startswith("mean - ")
    ]
    rows = rows[[*first, *(name for name in rows if name not in first)]]
    cells = [_marked({str(name): str(value) for name, value in row.items()}) for _, row in rows.iterrows()]
    found = [table(list(rows.columns), cells, "compared")]
    why = [note for note in notes if ": why " in note]
    found += [tag("p", note, class_="why") for note in why]
    found += [tag("p", note, class_="dim") for note in notes if note not in why]
    found.append(folded("Rows behind it", *(tag("p", text, class_="dim") for text in footers(own))))
    if more := _more(own, order):
        found.append(folded("More metrics", more))
    return found


def _marked(row: dict[str, str]) -> list[Cell]:
    """The cells of a row; its change in percent is marked where that in seconds is decided."""
    seconds = [CHANGE.fullmatch(value) for name, value in row.items() if name.startswith("mean - ")]
    if not seconds or seconds[0] is None or not abs(float(seconds[0][1])) > float(seconds[0][2]):
        return [*row.values()]
    mark = "bad" if float(seconds[0][1]) > 0 else "good"
    return [(value, mark) if name == "%" else value for name, value in row.items()]


def _more(own: pd.DataFrame, order: list[str]) -> Element | None:
    """Means over seeds of what else was measured: first tokens, tokens, objectives."""
    names = [name for name in own.columns if name in MORE or any(word in name for word in ASKED)]
    names = [name for name in names if pd.api.types.is_numeric_dtype(own[name]) and own[name].notna().any()]
    if not names:
        return None
    seen = {str(policy): distinct(runs) for policy, runs in own.groupby("policy", sort=False)}
    rows = [[policy, *(f"{interval(runs[name]):.4g}" for name in names)] for policy, runs in seen.items()]
    return table(["policy", *map(label_of, names)], rows, "compared")
