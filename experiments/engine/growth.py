"""What a simulated request costs as requests, batches, replicas and queues grow: measured, and drawn.

    tokenyard engine growth --output growth-output --repeats 3
    tokenyard engine growth --output growth-output --builds pure,compiled --cases 'replicas: 1,replicas: 256'

Measured as `tokenyard engine bench` does, whose options these are; the JSON lines go into DIR/cost-of-growth.jsonl, and
a panel for each thing that grows into DIR/cost-of-growth.png and .pdf: medians, with bars from least to largest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from experiments.engine.bench import measuring, run
from experiments.engine.cases import BURST, Case, synthetic
from experiments.engine.timed import serve
from experiments.figures.style import OTHER_COLORS, RC, save
from experiments.run.written import write_whole
from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.order.srpt import SRPT

WAITING = (1000, 3000, 10_000, 30_000, 100_000)
PREEMPTIVE = partial(Case, order=SRPT(), batching=Preemptive(256), eviction=Resident())
GROWTH: dict[str, dict[int, Case]] = {  # along what, then how much of it there is
    "requests": {
        many: Case(partial(synthetic, requests=many, rate=6.5))
        for many in (10_000, 30_000, 100_000, 300_000, 1_000_000)
    },
    "batch": {
        seats: Case(partial(BURST, requests=30_000), batching=Continuous(seats)) for seats in (8, 16, 32, 64, 128, 256)
    },
    "replicas": {
        many: Case(partial(synthetic, requests=max(50_000, 400 * many), rate=6.5 * many), replicas=many)
        for many in (1, 4, 16, 64, 256)
    },
    "waiting under FIFO": {many: Case(partial(BURST, requests=many)) for many in WAITING},
    "waiting under preemptive SRPT": {many: PREEMPTIVE(partial(BURST, requests=many)) for many in WAITING},
}
GROWING = {f"{along}: {many}": case for along, cases in GROWTH.items() for many, case in cases.items()}
STEM = "cost-of-growth"


def draw(lines: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Write `lines` and their picture to `folder`; the paths, in words. A case is named "ALONG: HOW MANY"."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{STEM}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    along = list(dict.fromkeys(line["case"].split(": ")[0] for line in lines))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(2.6 * len(along) + 0.6, 3.1), layout="constrained")
        axes = figure.subplots(1, len(along), sharey=True, squeeze=False)[0]
        for axis, name in zip(axes, along, strict=True):
            _panel(axis, name, [line for line in lines if line["case"].startswith(f"{name}: ")])
        axes[0].set_ylabel("bare timeouts per request")
        axes[0].set_ylim(bottom=0)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels) or 1)
        paths = save(figure, folder / STEM)
    return f"wrote {', '.join(map(str, [folder / f'{STEM}.jsonl', *paths]))}"


def _panel(axis: Any, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """A line for each build: the median, and bars from the least to the largest ratio."""
    builds = list(dict.fromkeys(line.get("python", line["build"]) for line in lines))
    for color, build in zip(OTHER_COLORS, builds, strict=False):
        those = [line for line in lines if line.get("python", line["build"]) == build]
        sizes = [int(line["case"].split(": ")[1]) for line in those]
        middle = [line["timeouts_per_request"] for line in those]
        spread = list(zip(*(line["timeouts_spread"] for line in those), strict=True))
        bars = [
            [value - low for value, low in zip(middle, spread[0], strict=True)],
            [high - value for value, high in zip(middle, spread[1], strict=True)],
        ]
        axis.errorbar(sizes, middle, yerr=bars, color=color, marker="o", markersize=4, capsize=2, label=build)
    axis.set_xscale("log", base=2 if name == "batch" else 10)
    axis.set_xlabel(name)


def serve_lines() -> None:
    """Measure what a `Worker` asks for."""
    serve(lambda name, azure: measuring(GROWING[name], Path(azure)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="for lines and figure")
    status, settings, lines = run(__name__, GROWING, parser, arguments)
    if lines:
        print(draw(lines, settings.output), file=sys.stderr)
    return status
