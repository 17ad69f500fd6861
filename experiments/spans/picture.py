"""The figure of a run: its requests as rows coloured by state; below them the queue, the batch and the KV memory."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.figures.style import RC
from experiments.spans.kept import Run
from experiments.spans.perfetto import RUNS, counts

# Okabe and Ito's colours, which the colour-blind can tell apart; what waits is pale, but for what was stopped
COLORS = {
    "asked": "#d9d9d9", "queued": "#f3e28a", "prefill": "#0072b2", "recompute": "#e69f00", "decode": "#56b4e9",
    "preempted": "#d55e00", "swapped": "#cc79a7", "paused": "#b7dfc9", "transferred": "#333333",
}  # fmt: skip
STOPS = ("preempted", "swapped")  # of one that ran: marked where it begins, for it may be short
LEFT, RIGHT, TOP, BOTTOM, GAP = 0.75, 1.75, 0.35, 0.55, 0.16  # inches
WIDTH, ROW, LEAST, TALLEST, SMALL = 10.0, 0.09, 1.6, 5.5, 0.9  # inches; of a request's row, of panels
FEW = 4  # replicas that have a line each
LINES = ("#000000", "#e69f00", "#009e73", "#cc79a7")


def draw(run: Run, limits: tuple[float, float], most: int) -> Figure:
    """The figure of what was there between two instants (s), of the first `most` requests at most."""
    ids = run.requests.sort_values(["arrival", "id"])["id"].tolist()
    rows = ids[:most]
    spans = run.spans[run.spans["request"].isin(rows)]
    tall = min(TALLEST, max(LEAST, ROW * len(rows)))
    height = TOP + tall + 3 * (GAP + SMALL) + BOTTOM
    with mpl.rc_context({**RC, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(WIDTH, height))
        tops = np.cumsum([TOP, tall + GAP, SMALL + GAP, SMALL + GAP])
        share = (WIDTH - LEFT - RIGHT) / WIDTH
        axes: list[Axes] = []
        for top, high in zip(tops, (tall, SMALL, SMALL, SMALL), strict=True):
            place = (LEFT / WIDTH, 1 - (top + high) / height, share, high / height)
            axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
        _draw_requests(axes[0], spans, rows)
        _draw_places(axes[0], run.spans, spans, rows)
        told = f"requests {rows[0]:,} to {rows[-1]:,}" if len(rows) > 1 else f"request {rows[0]}"
        told += f", the first {len(rows)} of the {len(ids):,} there" if len(rows) < len(ids) else ""
        axes[0].set_title(f"{run.name}: {told}", loc="left", fontsize=10)
        _draw_queue(axes[1], run.spans)
        _draw_batch(axes[2], run.spans)
        _draw_memory(axes[3], run)
        for one in axes[:-1]:
            one.tick_params(labelbottom=False)
        for one in axes[1:]:
            one.set_ylim(bottom=0)
            one.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes[-1].set_xlabel("time (s)")
        axes[-1].set_xlim(*limits)
        figure.align_ylabels(axes)
    return figure


def _draw_requests(axes: Axes, spans: pd.DataFrame, rows: list[int]) -> None:
    place = {request: number for number, request in enumerate(rows)}
    for name, own in spans.groupby("span", sort=False):
        at = own["request"].map(place).to_numpy(dtype=float)
        start, end = own["start"].to_numpy(), own["end"].to_numpy()
        half = 0.36 if name not in ("asked", "queued") else 0.2
        corners = [(start, at - half), (end, at - half), (end, at + half), (start, at + half)]
        boxes = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
        axes.add_collection(PolyCollection(list(boxes), facecolor=COLORS[str(name)], edgecolor="none"), autolim=False)
    before = spans.groupby("request")["span"].shift()
    stops = spans[spans["span"].isin(STOPS) & before.isin(RUNS)]
    mark: dict[str, Any] = {
        "marker": ">",
        "linestyle": "",
        "color": "white",
        "markersize": 4,
        "markeredgecolor": "black",
    }
    if len(stops):
        axes.plot(stops["start"], stops["request"].map(place), markeredgewidth=0.5, **mark)
    marks = [Line2D([], [], label="stopped here", **mark)] if len(stops) else []
    patches = [Patch(facecolor=COLORS[name], label=name) for name in COLORS if (spans["span"] == name).any()]
    axes.legend(handles=[*patches, *marks], loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_ylabel("request, by arrival")
    ticks = [int(tick) for tick in MaxNLocator(6, integer=True).tick_values(0, len(rows) - 1) if 0 <= tick < len(rows)]
    axes.set_yticks(ticks, [str(rows[tick]) for tick in ticks])


def _draw_places(axes: Axes, whole: pd.DataFrame, spans: pd.DataFrame, rows: list[int]) -> None:
    """A mark before each row: the replica that the request went to last, in the color of that below."""
    names = sorted(name for name in set(whole["replica"]) if name)
    if not 1 < len(names) <= FEW:
        return
    last = spans[spans["replica"] != ""].groupby("request")["replica"].last()
    for name, color in zip(names, LINES, strict=False):
        own = [number for number, request in enumerate(rows) if last.get(request) == name]
        axes.plot(
            np.full(len(own), -0.006), own, transform=axes.get_yaxis_transform(), clip_on=False, linestyle="",
            marker="s", markersize=2.5, color=color,
        )  # fmt: skip


def _draw_queue(axes: Axes, spans: pd.DataFrame) -> None:
    """Who waits, stacked by why."""
    kinds = [name for name in ("queued", *STOPS) if (spans["span"] == name).any()]
    steps = {name: counts(spans, (name,)) for name in kinds}
    instants = np.unique(np.concatenate([[spans["start"].min()], *(one["at"] for one in steps.values())]))
    below = np.zeros(len(instants))
    for name, one in steps.items():
        at = np.searchsorted(one["at"], instants, side="right")
        above = below + np.concatenate(([0], one["count"]))[at]
        axes.fill_between(instants, below, above, step="post", color=COLORS[name], linewidth=0, label=name)
        below = above
    axes.set_ylabel("waiting")


def _draw_batch(axes: Axes, spans: pd.DataFrame) -> None:
    """Who runs, a line a replica if they are few."""
    names = sorted(name for name in set(spans["replica"]) if name)
    parts = {name: spans[spans["replica"] == name] for name in names} if len(names) <= FEW else {"all": spans}
    for (name, own), color in zip(parts.items(), LINES, strict=False):
        table = counts(own, RUNS)
        axes.step(table["at"], table["count"], where="post", color=color, linewidth=1.0, label=name)
    if len(parts) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    axes.set_ylabel("running")


def _draw_memory(axes: Axes, run: Run) -> None:
    """The share of the KV blocks that somebody holds during each step, of each replica if they are few, or of all."""
    steps = run.steps.sort_values("end")
    share = 100 * steps["blocks_used"] / steps["replica"].map(run.blocks)
    names = sorted(set(steps["replica"]))
    if len(names) <= FEW:
        for name, color in zip(names, LINES, strict=False):
            own = steps["replica"] == name
            axes.step(steps["end"][own], share[own], where="pre", color=color, linewidth=1.0)
    else:
        each = share.groupby([steps["end"], steps["replica"]]).last().unstack().ffill().fillna(0)
        axes.step(each.index, each.mean(axis=1), where="pre", color=LINES[0], linewidth=1.0)
    axes.set_ylim(0, min(103, max(3.0, 1.15 * share.max())))
    axes.set_ylabel("KV (%)")
