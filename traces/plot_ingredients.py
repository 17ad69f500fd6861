"""Draw the files of which traces are made: ServeGen's clients, coding agents' sessions, SSJF's predictions."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from traces.formats.coding_sessions import BLOCK, distinct
from traces.formats.servegen import WINDOW
from traces.ingredients import BOUNDS, confusion_counts, total_rates
from traces.style import COLORS, DAY, Panel, distribution, plain_ticks


def panels(table: pd.DataFrame, name: str) -> list[Panel]:
    """The panels of a file of the kind `name` in `traces.sniff`."""
    if name == "servegen_rates":
        return [lambda axes: total_rate(axes, table), lambda axes: client_shares(axes, table)]
    if name == "servegen_quantiles":
        fields = ("input_tokens", "output_tokens")
        return [partial(window_lengths, table=table, name=field) for field in fields]
    if name == "coding_sessions":
        return [lambda axes: session_tokens(axes, table), lambda axes: session_gaps(axes, table)]
    return [lambda axes: confusion(axes, table), lambda axes: lengths_by_class(axes, table)]


def total_rate(axes: Axes, table: pd.DataFrame) -> None:
    """The sum of the clients' rates over time, by model."""
    for color, (model, rows) in zip(COLORS, table.groupby("model"), strict=False):
        totals = total_rates(rows)
        edges = np.append(totals.index, totals.index[-1] + WINDOW) / DAY
        axes.stairs(totals, edges, color=color, label=str(model), baseline=None)
    axes.set(title="All clients together", xlabel="time, days", ylabel="requests/s", yscale="log")
    plain_ticks(axes, "y")
    axes.legend(loc="center right")


def client_shares(axes: Axes, table: pd.DataFrame) -> None:
    """The share of each client in its model's requests, the largest first."""
    for color, (model, rows) in zip(COLORS, table.groupby("model"), strict=False):
        found = rows.groupby("client")["rate"].sum().sort_values(ascending=False)
        axes.plot(
            np.arange(1, len(found) + 1), found / found.sum(), color=color, marker="o", markersize=3, label=str(model)
        )
    axes.set(title="Requests by client", xlabel="client, the largest first", ylabel="share of requests", yscale="log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper right")


def window_lengths(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """The distribution over clients' windows of the median length and of the 99th percentile."""
    for color, (model, rows) in zip(COLORS, table[table["field"] == name].groupby("model"), strict=False):
        for column, style in (("q50", "-"), ("q99", ":")):
            distribution(axes, rows[column].clip(lower=1).to_numpy(), f"{model}, {column[1:]} %", color, style)
    axes.set(
        title=f"{name.replace('_', ' ').capitalize()}", xlabel="quantile in a window of a client, tokens",
        ylabel="share of windows up to it", xscale="log", ylim=(0, 1.02),
    )  # fmt: skip
    plain_ticks(axes, "x")
    axes.legend(loc="upper left")


def session_tokens(axes: Axes, table: pd.DataFrame) -> None:
    """The distributions of a call's prompt, of what is new in it, and of its answer."""
    calls = distinct(table)
    new = calls["input_tokens"] - calls["lcp_prev_blocks"] * BLOCK
    named = {
        "prompt": calls["input_tokens"],
        "new in the prompt": new[calls["i"] > 0],
        "answer": calls["output_tokens"],
    }
    for color, (label, tokens) in zip(COLORS, named.items(), strict=False):
        distribution(axes, tokens.clip(lower=1).to_numpy(), label, color)
    axes.set(title="Calls of sessions", xlabel="tokens", ylabel="share of calls up to it", xscale="log", ylim=(0, 1.02))
    plain_ticks(axes, "x")
    axes.legend(loc="upper left")


def session_gaps(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution of the gap before a call, after what a tool returned and after what a user wrote."""
    calls = distinct(table)
    for color, (label, kind) in zip(
        COLORS, {"a tool's result": "tool_result", "a user's text": "text"}.items(), strict=False
    ):
        gaps = calls["gap"][(calls["input_types"] == kind) & calls["gap"].notna()]
        distribution(axes, gaps.clip(lower=0.5).to_numpy(), f"{label} ({len(gaps):,})", color)
    axes.set(title="Gaps before calls", xlabel="s", ylabel="share of calls up to it", xscale="log", ylim=(0, 1.02))
    axes.legend(loc="lower right")


def confusion(axes: Axes, table: pd.DataFrame) -> None:
    """Of each true class, the share that was predicted to be of each class."""
    counts = confusion_counts(table)
    share = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        axes.text(
            column, row, f"{100 * value:.0f} %", ha="center", va="center", color="white" if value > 0.5 else "black"
        )
    names = [f"{low}-{high - 1}" for low, high in zip((1, *BOUNDS), BOUNDS, strict=False)] + [f"{BOUNDS[-1]}+"]
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_yticks(range(len(names)), names)
    axes.set(title="Predicted class by true class", xlabel="predicted length, tokens", ylabel="true length, tokens")
    axes.grid(visible=False)


def lengths_by_class(axes: Axes, table: pd.DataFrame) -> None:
    """The distribution of the true lengths for each predicted class."""
    for color, (predicted, rows) in zip(COLORS, table.groupby("predicted_length"), strict=False):
        distribution(axes, rows["output_token_length"].to_numpy(), f"class {int(predicted)} ({len(rows):,})", color)
    axes.set(
        title="True lengths by predicted class", xlabel="tokens", ylabel="share of requests up to it", xscale="log",
        ylim=(0, 1.02),
    )  # fmt: skip
    plain_ticks(axes, "x")
    axes.legend(loc="upper left")
