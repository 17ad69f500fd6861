"""The survey's figures: operations, traffic and intensity by length, what each operator takes, normalized latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes

from experiments.figures.stored import Figure, Stored
from experiments.figures.style import RC, save, sheet
from experiments.figures.write import written
from experiments.papers.size_based.panels import Curve, Panel, draw
from experiments.papers.transformer_cost import published
from experiments.papers.transformer_cost.tables import SETTINGS, by_length, exact, values
from profiles.operators.layers import KINDS, LINEAR, NONLINEAR

__all__ = ["FIGURES", "SETTINGS"]

NAMES = {"bert-base": "BERT-Base", "bert-large": "BERT-Large", "gpt2": "GPT-2"}
DEVICES = {"survey_xeon": "Xeon 6242", "survey_a100": "A100", "survey_a100_eager": "A100, eager",
           "survey_xavier": "AGX Xavier"}  # fmt: skip
COLORS = dict(zip(KINDS, ("#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#7f4f24"), strict=True))
CALLED = {"projections": "projections", "attention": "attention (act-to-act)", "feed_forward": "feed-forward",
          "softmax": "softmax", "normalization": "normalization, addition", "activation": "GELU"}  # fmt: skip
EXACT = "Nothing is drawn by chance, so bars have no width."
COUNTED = (
    "Counts of the layers: BERT reads so many tokens, GPT-2 generates as many from empty context, batch 1. Nothing is "
    "fused, elements are of one byte. Dashed: the survey's Fig. 4 to 6; its FLOPs of BERT-Large lack a projection. "
    f"{EXACT}"
)
TIMED = (
    "Left: seconds by the roofline of the survey's CPU, of BERT-Base's at 128 tokens; dashed: its Fig. 9, measured. "
    "The shares of the datasheet's peaks are those of another CPU, and were not fitted. Beside it: the share of "
    f"softmax, normalization with addition and GELU in the layers' seconds, by device. {EXACT}"
)
SHARED = (
    "What each kind of operator takes of the layers' FLOPs, traffic and seconds. BERT-Base reads so many tokens, GPT-2 "
    "generates as many. Nothing is fused. White marks: the survey's Table 3, where what is no product begins."
)


def counts(stored: Stored, output: Path) -> list[Path]:
    """Fig. 4 to 6: FLOPs, traffic and arithmetic intensity by sequence length, beside the survey's; and as a table."""
    panels, rows = [], []
    for what, title, theirs in (
        ("flops", "10^9 FLOPs", published.FLOPS),
        ("mops", "10^9 elements moved", published.MOPS),
        ("intensity", "FLOPs an element", published.INTENSITY),
    ):
        curves = {called: _curve(values(stored, what, model)) for model, called in NAMES.items()}
        paper = {_first("the survey", model): _paired(theirs[model]) for model in NAMES}
        panels.append(Panel(title, "tokens", title, curves, paper=paper, log="xy"))
        rows += [
            {"": title, "model": called, **{f"{at:,}": values(stored, what, model).loc[at] for at in published.LENGTHS}}
            for model, called in NAMES.items()
        ]
    files = draw(panels, COUNTED, output / "survey_counts", inches=2.5, bars="")
    return files + written(
        pd.DataFrame(rows), output / "survey_counts", "The survey's Fig. 4 to 6, ours", COUNTED,
        {f"{at:,}": ",.4g" for at in published.LENGTHS},
    )  # fmt: skip


def latency(stored: Stored, output: Path) -> list[Path]:
    """Fig. 9: normalized latency on the CPU; and the share of what is no product in it, by device."""
    own = {called: _curve(values(stored, "latency", model)) for model, called in NAMES.items()}
    paper = {_first("the survey", model): _paired(published.LATENCY[model]) for model in NAMES}
    parts: dict[str, dict[str, Curve]] = {"bert-base": {}, "gpt2": {}}
    for model, curves in parts.items():
        for cluster, called in DEVICES.items():
            rows = by_length(stored, model, cluster)
            shares = 100 * sum(rows[f"costs.seconds.{kind}"] for kind in NONLINEAR) / rows["costs.seconds"]
            curves[called] = _curve(shares)
    panels = [
        Panel("On an Intel Gold 6242", "tokens", "latency, of BERT-Base at 128", own, paper=paper, log="xy"),
        *(
            Panel(
                f"What is no product: {NAMES[model]}", "tokens", "% of the layers' seconds", curves, log="x", top=60.0
            )
            for model, curves in parts.items()
        ),
    ]
    return draw(panels, TIMED, output / "survey_latency", inches=2.8, bars="")


def shares(stored: Stored, output: Path) -> list[Path]:
    """Table 3 and Fig. 7 and 8: the share of each kind of operator in FLOPs, traffic and seconds."""
    xeon, a100 = "survey_xeon", "survey_a100"
    columns = (("flops", xeon, "FLOPs"), ("elements", xeon, "traffic"),
               ("seconds", xeon, "s on Xeon 6242"), ("seconds", a100, "s on A100"))  # fmt: skip
    with mpl.rc_context(RC | {"font.size": 9, "axes.labelsize": 9.5, "legend.fontsize": 8}):
        figure, grid = sheet(2, len(columns), 1.75, 1.75, SHARED, left=0.7, gap=0.35, below=0.75)
        for row, model in enumerate(("bert-base", "gpt2")):
            for column, (what, cluster, called) in enumerate(columns):
                axes = grid[row][column]
                _stacked(axes, by_length(stored, model, cluster), what)
                axes.set_title(f"{NAMES[model]}: {called}", fontsize=9)
                if what == "elements" and model == "bert-base":
                    _marks(axes)
            grid[row][0].set_ylabel("% of the layers'")
        grid[0][-1].legend(loc="upper left", bbox_to_anchor=(1.03, 1.02), borderaxespad=0)
    return save(figure, output / "survey_shares")


def _curve(by: pd.Series) -> Curve:
    return [(float(at), exact(value)) for at, value in by.items()]


def _first(name: str, model: str) -> str:
    """One entry of a legend for the curves of all models."""
    return name if model == "bert-base" else f"_{model}"


def _paired(theirs: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(published.LENGTHS, theirs, strict=True))


def _stacked(axes: Axes, rows: pd.DataFrame, what: str) -> None:
    below = [0.0] * len(rows)
    for kind in (*LINEAR, *NONLINEAR):
        heights = (100 * rows[f"costs.{what}.{kind}"] / rows[f"costs.{what}"]).tolist()
        axes.bar(range(len(rows)), heights, bottom=below, color=COLORS[kind], width=0.8, label=CALLED[kind])
        below = [one + other for one, other in zip(below, heights, strict=True)]
    axes.set_xticks(range(len(rows)), [f"{at:,}" for at in rows.index], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_ylim(0, 100)
    axes.grid(visible=False, axis="x")


def _marks(axes: Axes) -> None:
    for at, other in zip(published.SHARES_AT, published.MOPS_SHARES["other"], strict=True):
        axes.plot(published.LENGTHS.index(at), 100 - other, marker="D", color="white", markeredgecolor="black")


FIGURES = {
    "survey_counts": Figure("FLOPs, traffic, intensity by length: transformer_cost/encoders, decoder", counts),
    "survey_latency": Figure("normalized latency, and what is no product in it: the same", latency),
    "survey_shares": Figure("what each kind of operator takes: the same", shares),
}
