"""FastServe's figures: ours beside the paper's curves, the rates at which each passes 0.3 s per token, the knobs."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.figures.style import RC, Look, plain_log_ticks, save, sheet
from experiments.figures.write import written
from experiments.papers.fastserve import published, tables
from experiments.papers.fastserve.published import Curves
from experiments.tables.stats import change, interval

SETTINGS = tables.SETTINGS
LOOKS = {
    "fastserve_vllm": ("vLLM", Look("#e69f00", "^")),
    "fastserve_vllm_chunked": ("vLLM, chunked", Look("#7f4f24", "v")),
    "fastserve_fcfs": ("FCFS", Look("#117733", "s")),
    "fastserve_mlfq": ("MLFQ", Look("#6b4c9a", "X")),
    "fastserve": ("FastServe", Look("#dd4433", "D")),
    "fastserve_released": ("as released", Look("#0072b2", "o")),
    "fastserve_flawed": ("nobody skips", Look("#88ccee", "P")),
    "fastserve_reactive": ("when needed", Look("#0072b2", "v")),
    "fastserve_recompute": ("computed anew", Look("#9a9a9a", "X")),
}
ABOUT = (
    "Solid: ours, means over seeds and their 95 % intervals. Dashed: the paper's (its artifact's notebook). "
    "Dotted: 0.3 s per output token."
)
KNOBS = {
    "alpha": ("policy.order.patience", "alpha (s; 0.3)"),
    "eta": ("policy.order.eta", "eta (levels; 1)"),
    "reserve": ("policy.eviction.free_blocks", "blocks kept free (64)"),
    "link": ("cluster.devices.gpu.host.link.bytes_per_second", "bytes/s to the host (25.6e9)"),
}


def _panel(place: Axes, table: pd.DataFrame, metric: str, curves: Curves | None, title: str) -> None:
    """One panel: our systems, and the paper's where it has them."""
    for system in [name for name in LOOKS if name in set(table["system"])]:
        how = LOOKS[system][1]
        rows = [(rate, interval(one[metric])) for rate, one in of(table, system=system).groupby("trace.rate")]
        ys, bars = [one.mean for _, one in rows], [one.half_width for _, one in rows]
        low = [min(bar, 0.9 * y) for y, bar in zip(ys, bars, strict=True)]  # the axis is logarithmic
        place.errorbar([rate for rate, _ in rows], ys, [low, bars], capsize=2, **how.line(), **how.points())
        if curves is not None:
            place.plot(*curves.of(system), color=how.color, linestyle=(0, (4, 2)), linewidth=1.2)
    place.axhline(tables.LIMIT, color="#555555", linestyle=":", linewidth=1)
    place.set_yscale("log")
    plain_log_ticks(place.yaxis)
    place.set_title(title, fontsize=9.5)
    place.set_xlabel("requests/s")


def _named(place: Axes, systems: list[str]) -> None:
    handles = [Line2D([], [], label=LOOKS[one][0], **LOOKS[one][1].line(), **LOOKS[one][1].points()) for one in systems]
    place.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0, fontsize=8)


def latency(stored: Stored, output: Path) -> list[Path]:
    """Seconds per output token by rate, and the table of the rates at which they pass 0.3 s; their files."""
    drawn = ("fastserve_vllm", "fastserve_fcfs", "fastserve", "fastserve_released")
    sharegpt, alpaca = tables.runs(stored, "sharegpt"), tables.runs(stored, "alpaca")
    answers = tables.runs(stored, "answers")
    panels = (
        ("ShareGPT, mean", sharegpt, "mean", published.SHAREGPT),
        ("ShareGPT, 95th percentile", sharegpt, "p95", published.SHAREGPT_P95),
        ("more short answers, mean", answers, "mean", published.SHAREGPT),
        ("Alpaca, mean", alpaca, "mean", published.ALPACA),
    )
    text = f"OPT-13B, batches of 16. {ABOUT} More short answers: beside its ShareGPT. {provenance_of(sharegpt)}"
    with mpl.rc_context(RC):
        figure, grid = sheet(2, 2, 2.3, 1.5, text, gap=0.7)
        for number, (title, table, metric, curves) in enumerate(panels):
            place = grid[number // 2][number % 2]
            _panel(place, of(table, system=drawn), metric, curves, title)
            place.set_xlim(0, 1.05 * table["trace.rate"].max())
            place.set_ylabel("" if number % 2 else "s per output token")
        _named(grid[0][-1], list(drawn))
    rows = [
        {"workload": title, "system": system, "requests/s": interval(tables.rates(table, system, metric, tables.LIMIT)),
         "the paper's": tables.passes(*curves.of(system), tables.LIMIT)}
        for title, table, metric, curves in panels
        for system in [name for name in LOOKS if name in set(table["system"])]
    ]  # fmt: skip
    return save(figure, output / "fastserve_latency") + written(
        pd.DataFrame(rows), output / "fastserve_latency", "The rate at which 0.3 s per output token is passed",
        "Straight between the rates that were run, for each seed; nothing where it is not among them.",
        {"requests/s": ".2f", "the paper's": ".2f"},
    )  # fmt: skip


def parts(stored: Stored, output: Path) -> list[Path]:
    """Swaps, large batches, levels skipped or not, chunked prefill; its files."""
    sharegpt, large = tables.runs(stored, "sharegpt"), tables.runs(stored, "large_batches")
    swapping = tables.runs(stored, "swapping")
    queues = ("fastserve_vllm_chunked", "fastserve_mlfq", "fastserve", "fastserve_released", "fastserve_flawed")
    panels = (
        ("queues, and chunked prefill", of(sharegpt, system=queues), None),
        ("swaps", swapping, published.SWAPPING),
        ("batches of 64", of(large, policy__batching__max_num_seqs=64), published.BATCHES_OF_64),
        ("batches of 128", of(large, policy__batching__max_num_seqs=128), None),
    )
    text = f"OPT-13B, ShareGPT. {ABOUT} The paper's workload for swaps is not known. {provenance_of(sharegpt)}"
    with mpl.rc_context(RC):
        figure, grid = sheet(2, 2, 2.2, 1.7, text, gap=1.9)
        for number, (title, table, curves) in enumerate(panels):
            place = grid[number // 2][number % 2]
            _panel(place, table, "mean", curves, title)
            place.set_ylabel("" if number % 2 else "s per output token")
            _named(place, [name for name in LOOKS if name in set(table["system"])])
    return save(figure, output / "fastserve_parts")


def goodput(stored: Stored, output: Path) -> list[Path]:
    """The rate up to which 95 % of the requests are within both limits, by limits; its files."""
    table = tables.runs(stored, "sharegpt")
    rows = []
    for first, each in tables.SLOS:
        column = f"within {first} s"
        missed = table.assign(**{column: -table[column]})
        rows += [
            {"first token, s": first, "output token, s": each, "system": system,
             "requests/s": interval(tables.rates(missed, system, column, -tables.ATTAINED))}
            for system in [name for name in LOOKS if name in set(table["system"])]
        ]  # fmt: skip
    return written(
        pd.DataFrame(rows), output / "fastserve_goodput", "The rate up to which 95 % are within both limits (Fig. 13)",
        "Latency per output token is the whole one's, as in the artifact's fig13.py. -: not passed in some seed.",
        {"requests/s": ".2f"},
    )  # fmt: skip


def knobs(stored: Stored, output: Path) -> list[Path]:
    """How the latency at 4 requests/s changes with what is assumed; its files."""
    base = of(stored.table("size_based/fastserve_sharegpt"), system="fastserve", trace__rate=4).sort_values("seed")
    rows = []
    for name, (key, called) in KNOBS.items():
        table = stored.table(f"size_based/fastserve_{name}")
        for value, one in table.groupby(key):
            both = one.merge(base, on="seed", suffixes=("", " of base"))
            metrics = ("normalized_latency_mean", "response_time_mean", "ttft_mean")
            found = {metric: change(both[metric], both[f"{metric} of base"]) for metric in metrics}
            rows.append({"knob": called, "value": value, **found})
    shown: dict[str, str] = dict.fromkeys(rows[0].keys() - {"knob", "value"}, "+.1f")
    seconds = interval(base["normalized_latency_mean"])
    return written(
        pd.DataFrame(rows), output / "fastserve_knobs", "FastServe's knobs: change at 4 requests/s, in %",
        f"Against the defaults in brackets, paired: {seconds:.3f} s per output token.", {"value": "g", **shown},
    )  # fmt: skip


FIGURES = {
    "fastserve_latency": Figure("latency per output token by rate beside the paper's (Figs 11 and 12)", latency),
    "fastserve_parts": Figure("swaps, large batches, levels, chunked prefill (Figs 14, 17 and 18)", parts),
    "fastserve_goodput": Figure("the rate up to which 95 % are within the limits (Fig. 13)", goodput),
    "fastserve_knobs": Figure("how far the latency rests on what is assumed", knobs),
}
