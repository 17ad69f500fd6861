"""INFERCEPT's figures: what its parts waste and how long requests take, beside its Fig. 3, and its headline by rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.figures.style import PAPER, RC, save, sheet
from experiments.figures.write import written
from experiments.papers.infercept import tables
from experiments.papers.infercept.tables import CLUSTERS, LATENCY, PARTS, SETTINGS, WASTE
from experiments.papers.size_based.panels import Curve, Panel, draw
from experiments.papers.size_based.times import percent
from experiments.tables.stats import Interval, interval

__all__ = ["FIGURES", "SETTINGS"]

STEPS = {
    "infercept_vllm": "vanilla discard",
    "infercept_improved": "+ improved discard",
    "infercept_chunked": "+ chunked discard",
    "infercept_budget": "+ min-waste swap",
    "infercept_heuristic": "+ heuristic preserve",
    "infercept": "INFERCEPT",
}
OTHERS = {
    "infercept_oracle": "INFERCEPT, oracle",
    "infercept_released": "as released",
    "infercept_swap": "swap all",
    "infercept_preserve": "preserve all",
}
NAMES = {**STEPS, **OTHERS}
WASTED = (25.0, 20.0, 21.0, 10.0, 1.5, 0.69)  # [S] its Fig. 3, % of GPU memory, step by step
LESS = (-24.5, -7.8, -12.7, -46.1, -46.4)  # [S] %, of the normalized latency of the step before
USES = {
    "kept during calls": ("paused", "token_seconds", "#0072b2"),
    "being copied": ("transfer", "token_seconds", "#56b4e9"),
    "computed anew": ("recompute", "token_seconds", "#cc79a7"),
    "others, held up: decode": ("decode", "held_up", "#e69f00"),
    "others, held up: prefill": ("prefill", "held_up", "#7f4f24"),
}
ABOUT = (
    "Vicuna-13B, the mixed workload at 2 requests/s. Top: KV memory over time. Bottom: normalized latency without "
    "calls, beside vLLM's; bars: 95 % intervals over seeds. Diamonds: the paper's Fig. 3, of how many GPUs is not "
    "known, its latencies multiplied up step by step."
)
ABOUT_RATES = (
    "The mixed workload, ten minutes of arrivals: the mean over requests of the latency without calls over the output "
    "tokens. The paper: at the same latency 1.6 times (6B) and 1.8 times (13B) vLLM's rate; a latency 1.9 to 5.7 and "
    "1.6 to 10 times lower."
)


def breakdown(stored: Stored, output: Path) -> list[Path]:
    """Fig. 3: the share of memory that is wasted, by why, and the normalized latency beside vLLM's; and as a table."""
    parts, rows = stored.table(PARTS), []
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        caption = f"{ABOUT} {provenance_of(parts)}"
        figure, grid = sheet(2, 2, 2.0, 1.9, caption, left=1.15, gap=0.6, below=1.2)
        for column, (cluster, called) in enumerate(CLUSTERS.items()):
            shares = {
                system: {
                    word: tables.shares(stored, system, cluster, _share_of(*use[:2])) for word, use in USES.items()
                }
                for system in NAMES
            }
            latencies = {system: of(parts, system=system, cluster=cluster) for system in NAMES}
            vllm = latencies["infercept_vllm"]
            changes = {system: percent(own, vllm, LATENCY) for system, own in latencies.items() if own is not vllm}
            _stacked(grid[0][column], shares, called)
            _changes(grid[1][column], changes)
            rows += [
                {
                    "": called,
                    "system": name,
                    "wasted %": tables.shares(stored, system, cluster, tables.wasted),
                    "the paper's %": _of_step(system, WASTED),
                    **{word: shares[system][word] for word in USES},
                    "of held %": tables.shares(stored, system, cluster, tables.wasted_of_held),
                    "s/token": interval(latencies[system][LATENCY]),
                }
                for system, name in NAMES.items()
            ]
        grid[0][1].legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
        grid[0][0].set_ylabel("% of KV memory wasted")
        grid[1][0].set_ylabel("latency, change from vLLM, %")
    return save(figure, output / "infercept_breakdown") + written(
        pd.DataFrame(rows), output / "infercept_breakdown", "INFERCEPT's Fig. 3, ours",
        f"{stored.root / WASTE}: until the last arrival; latency without calls, of all. Of held: of what is not free.",
        {name: ".2f" for name in ("wasted %", "the paper's %", *USES, "of held %")} | {"s/token": ".4f"},
    )  # fmt: skip


def by_rate(stored: Stored, output: Path) -> list[Path]:
    """The headline: normalized latency by rate, and how many times lower than vLLM's it is."""
    six = pd.concat(stored.tables((tables.RATES, tables.RATES_OTHERS)).values())
    thirteen = stored.table(tables.RATES_13B)
    panels = [
        Panel(title, "requests/s", "s per output token, without calls", _curves(table), log="y")
        for title, table in (("GPT-J-6B", six), ("Vicuna-13B on two GPUs", thirteen))
    ]
    return draw(panels, f"{ABOUT_RATES} {provenance_of(six)}", output / "infercept_rates")


def _curves(table: pd.DataFrame) -> dict[str, Curve]:
    known = {**NAMES, "infercept_vllm": "vLLM"}
    return {
        called: [(float(at), interval(own[LATENCY])) for at, own in of(table, system=system).groupby("trace.rate")]
        for system, called in known.items()
        if (table["system"] == system).any()
    }


def _share_of(use: str, column: str) -> tables.Told:
    """What tells of an audit which share of all memory over time is in `column` of `use`."""
    return lambda audit: audit[audit["use"] == use][column].sum() / audit["token_seconds"].sum()


def _of_step(system: str, values: Sequence[float]) -> float:
    """The one of `values`, one a step, that is of `system`; NaN where the paper has none."""
    return dict(zip(STEPS, values, strict=True)).get(system, float("nan"))


def _stacked(axes: Axes, shares: dict[str, dict[str, Interval]], called: str) -> None:
    below = [0.0] * len(NAMES)
    for word, (_, _, color) in USES.items():
        heights = [shares[system][word].mean for system in NAMES]
        axes.bar(range(len(NAMES)), heights, bottom=below, color=color, width=0.7, label=word)
        below = [one + other for one, other in zip(below, heights, strict=True)]
    axes.plot(range(len(WASTED)), WASTED, label="the paper's", **PAPER)
    axes.set_title(called, fontsize=9.5, weight="bold")
    axes.set_xticks(range(len(NAMES)), [""] * len(NAMES))
    axes.grid(visible=False, axis="x")


def _changes(axes: Axes, changes: dict[str, Interval]) -> None:
    """The change beside vLLM, which is 0; those beyond a third more are cut off, and told."""
    most = 35.0
    for number, system in enumerate(NAMES):
        change = changes.get(system, Interval(0.0, float("nan")))
        color = "#0072b2" if system in STEPS else "#9a9a9a"
        axes.bar(number, min(change.mean, most), color=color, width=0.7)
        if change.mean > most:
            axes.text(number, most, f"{change.mean:+.0f}", ha="center", va="bottom", fontsize=8)
        elif system in changes:
            axes.errorbar(number, change.mean, yerr=change.half_width, fmt="none", ecolor="black", elinewidth=1)
    factor, told = 1.0, [0.0]
    for less in LESS:
        factor *= 1 + less / 100
        told.append(100 * (factor - 1))
    axes.plot(range(len(told)), told, **PAPER)
    axes.axhline(0, color="black", linewidth=0.9)
    axes.set_ylim(-100, 45)
    axes.set_xticks(range(len(NAMES)), [*NAMES.values()], rotation=35, ha="right", rotation_mode="anchor")
    axes.grid(visible=False, axis="x")


FIGURES = {
    "infercept_breakdown": Figure(
        "INFERCEPT's Fig. 3: memory wasted and latency, part by part, beside ours", breakdown
    ),
    "infercept_rates": Figure("INFERCEPT's headline: normalized latency by rate", by_rate),
}
