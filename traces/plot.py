"""Draw what is in a trace: rate over time, gaps, lengths, and what its columns or its kind have besides."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from traces.plot_ingredients import panels
from traces.sniff import Format
from traces.style import BLUE, COLORS, GREY, ORANGE, PALE, Panel, distribution, plain_ticks, sheet, time_unit
from traces.summary import held_blocks

BINS = 100  # of a rate over time
POINTS = 1000  # of a curve
SCATTERED = 4000  # requests up to which each is a point


def draw(table: pd.DataFrame, form: Format, title: str, path: Path) -> None:
    """Draw the trace, or the file of the kind `form` from which traces are made, as one PNG at `path`."""
    sheet(_trace_panels(table) if form.loader else panels(table, form.name), title, path)


def _trace_panels(table: pd.DataFrame) -> list[Panel]:
    found: list[Panel] = []
    if table["arrival"].iloc[-1] > table["arrival"].iloc[0]:
        found += [lambda axes: rate(axes, table), lambda axes: gaps(axes, table)]
    found += [lambda axes: lengths(axes, table), lambda axes: joint(axes, table)]
    if "client" in table:
        found.append(lambda axes: shares(axes, table["client"], "client"))
    if "task" in table:
        found.append(lambda axes: shares(axes, table["task"], "task"))
    if "pauses" in table and table["pauses"].map(len).any():
        found += [lambda axes: calls(axes, table), lambda axes: call_seconds(axes, table)]
        found.append(lambda axes: call_tokens(axes, table))
    if "prompt_ids" in table:
        found += [lambda axes: reuse_over_time(axes, table), lambda axes: reuse_of_prompts(axes, table)]
    return found


def rate(axes: Axes, table: pd.DataFrame) -> None:
    """Requests/s over time."""
    arrival = table["arrival"].to_numpy()
    unit, divisor = time_unit(arrival[-1])
    counts, edges = np.histogram(arrival, bins=min(BINS, max(1, len(arrival) // 10)))
    width = edges[1] - edges[0]
    axes.stairs(counts / width, edges / divisor, color=BLUE, linewidth=1.3)
    mean = (len(arrival) - 1) / (arrival[-1] - arrival[0])
    axes.axhline(mean, color=GREY, linestyle="--", linewidth=1, label=f"mean {mean:,.3g}")
    axes.set(
        title=f"Rate over time, in bins of {_seconds(width)}", xlabel=f"time, {unit}", ylabel="requests/s",
        ylim=(0, 1.18 * counts.max() / width),
    )  # fmt: skip
    axes.legend(loc="upper right")


def gaps(axes: Axes, table: pd.DataFrame) -> None:
    """How many gaps are longer than a time, against the exponential of the same mean."""
    found = np.diff(table["arrival"].to_numpy())
    mean = found.mean()
    times = np.geomspace(np.clip(found[found > 0].min(), mean / 1000, mean / 10), found.max(), POINTS)
    beyond = 1 - np.searchsorted(np.sort(found), times, side="right") / len(found)
    axes.plot(times, np.exp(-times / mean), color=GREY, linestyle="--", linewidth=1, label="exponential (CV 1)")
    axes.plot(times, beyond, color=BLUE, linewidth=1.5, label=f"this trace (CV {found.std() / mean:.2f})")
    axes.set(
        title="Gaps between arrivals", xlabel="gap, s", ylabel="share of longer gaps", xscale="log", yscale="log",
        ylim=(0.5 / len(found), 1.5),
    )  # fmt: skip
    axes.legend(loc="lower left")


def lengths(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution functions of both lengths."""
    for name, label, color in (("prompt_tokens", "input", BLUE), ("output_tokens", "output", ORANGE)):
        values = table[name].to_numpy()
        distribution(axes, values, f"{label}, median {np.median(values):,.0f}", color)
    axes.set(title="Lengths", xlabel="tokens", ylabel="share of requests up to it", xscale="log", ylim=(0, 1.02))
    plain_ticks(axes, "x")
    axes.legend(loc="best")


def joint(axes: Axes, table: pd.DataFrame) -> None:
    """Output against input: points, or counts in hexagons where there are many."""
    prompt, output = table["prompt_tokens"].to_numpy(), table["output_tokens"].to_numpy()
    axes.set(title="Output against input", xlabel="input, tokens", ylabel="output, tokens", xscale="log", yscale="log")
    if len(table) <= SCATTERED:
        axes.scatter(prompt, output, s=7, color=BLUE, alpha=0.4, linewidths=0)
    else:
        hexagons = axes.hexbin(
            prompt, output, xscale="log", yscale="log", gridsize=45, mincnt=1, norm=LogNorm(), cmap="viridis",
            linewidths=0.1,
        )  # fmt: skip
        axes.figure.colorbar(hexagons, ax=axes, label="requests", pad=0.02)
    plain_ticks(axes, "x")
    plain_ticks(axes, "y")


def shares(axes: Axes, column: pd.Series, name: str) -> None:
    """The share of requests of each client or task, the largest first."""
    found = column.value_counts(normalize=True)
    if len(found) <= 12:
        axes.barh(np.arange(len(found)), found, color=PALE)
        for at, label in enumerate(found.index.astype(str)):
            axes.text(found.max() / 100, at, label, va="center")
        axes.set_yticks([])
        axes.invert_yaxis()
        axes.set(title=f"Requests by {name}", xlabel="share of requests")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", visible=False)
        return
    axes.plot(np.arange(1, len(found) + 1), found, color=BLUE, marker="o", markersize=3, linewidth=1)
    axes.set(title=f"Requests by {name}", xlabel=f"{name}, the largest first", ylabel="share of requests", yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def calls(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution of the calls (pauses) of a request."""
    _by_task(axes, table, table["pauses"].map(len).astype(float))
    axes.set(title="Calls of a request", xlabel="calls", ylabel="share of requests up to it", ylim=(0, 1.02))


def call_seconds(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution of the calls' seconds."""
    seconds = _of_calls(table, 1)
    shortest = seconds[seconds > 0].min() if seconds.any() else 1e-3
    axes.set(title="Seconds of a call", xlabel="s", ylabel="share of calls up to it", xscale="log", ylim=(0, 1.02))
    _by_task(axes, table, seconds.clip(lower=shortest), "upper left")  # a call of 0 s stands at the left edge
    axes.set_xlim(left=shortest / 100)  # room for the names


def call_tokens(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution of the tokens that calls return."""
    _by_task(axes, table, _of_calls(table, 2))
    axes.set(title="Tokens that a call returns", xlabel="tokens", ylabel="share of calls up to it", ylim=(0, 1.02))
    axes.set_xscale("symlog", linthresh=1)  # many return none
    axes.set_xlim(left=-0.1)


def _of_calls(table: pd.DataFrame, cell: int) -> pd.Series:
    """That cell of each call, under its request's number."""
    return table["pauses"].map(lambda calls: [call[cell] for call in calls]).explode().dropna().astype(float)


def _by_task(
    axes: Axes, table: pd.DataFrame, values: pd.Series, place: Literal["upper left", "lower right"] = "lower right"
) -> None:
    """The distribution of `values`, under requests' numbers, by task if the trace has tasks."""
    tasks = table["task"] if "task" in table else pd.Series("all", index=table.index)
    groups = values.groupby(tasks[values.index].to_numpy(), sort=False)
    for color, (task, found) in zip(COLORS * 9, groups, strict=False):
        distribution(axes, found.to_numpy(), str(task), color)
    axes.legend(loc=place)


def reuse_over_time(axes: Axes, table: pd.DataFrame) -> None:
    """The share of the prompts' blocks that an infinite cache holds when they come, over time and so far."""
    held, blocks = held_blocks(table["prompt_ids"]), table["prompt_ids"].map(len).to_numpy()
    arrival = table["arrival"].to_numpy()
    unit, divisor = time_unit(arrival[-1])
    edges = np.histogram_bin_edges(arrival, bins=min(60, max(1, len(arrival) // 20)))
    some, all_ = (np.histogram(arrival, bins=edges, weights=count)[0] for count in (held, blocks))
    share = np.divide(some, all_, out=np.full(len(some), np.nan), where=all_ > 0)
    axes.stairs(share, edges / divisor, color=BLUE, linewidth=1.3, baseline=None, label="in each bin")
    axes.plot(arrival / divisor, np.cumsum(held) / np.maximum(np.cumsum(blocks), 1), color=ORANGE, label="so far")
    axes.set(title="Prefix reuse, infinite cache", xlabel=f"time, {unit}", ylabel="share of blocks held", ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", ncols=2)


def reuse_of_prompts(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution over prompts of the share of their own blocks that is held."""
    held, blocks = held_blocks(table["prompt_ids"]), table["prompt_ids"].map(len).to_numpy()
    share = np.sort(held[blocks > 0] / blocks[blocks > 0])
    axes.plot(share, np.arange(1, len(share) + 1) / len(share), color=BLUE, linewidth=1.5)
    axes.set(
        title="Reuse within a prompt", xlabel="share of its blocks held", ylabel="share of prompts up to it",
        xlim=(0, 1), ylim=(0, 1.02),
    )  # fmt: skip
    axes.xaxis.set_major_formatter(PercentFormatter(1))


def _seconds(width: float) -> str:
    unit, seconds = time_unit(width)
    return f"{width / seconds:.3g} {unit}"
