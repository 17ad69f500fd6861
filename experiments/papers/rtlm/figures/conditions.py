"""RT-LM under other conditions: how each system changes FIFO's response time as one thing varies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.figures.drawing import PAIRED, Panels, provenance_of
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import CELL, MODELS, SYSTEMS, against, draw, over_seeds


@dataclass(frozen=True, slots=True)
class Condition:
    """What varies in a sweep: `x` along an axis, `other` from row to row; `shows` says in a line what for.

    FIFO is the sweep's own at equal `x` and `other`, or that of the sweep `reference` on the same requests.
    """

    shows: str
    sweep: str
    x: str
    xlabel: str
    about: str
    other: str = "load"
    other_label: str = "load"
    order: tuple[str, ...] = ()
    reference: str = ""


CONDITIONS = {
    "malicious": Condition(
        "What a share of malicious requests does to each system (rtlm/malicious).",
        sweep="rtlm/malicious",
        x="trace.malicious_share",
        xlabel="share of malicious requests",
        other="calibration.malicious_quantile",
        other_label="k",
        about=(
            "Mean response time against FIFO's under the same share; rows: k, the quantile above which RT-LM offloads."
        ),
    ),
    "variance": Condition(
        "Subsets of small, normal and large variance of uncertainty (rtlm/variance).",
        sweep="rtlm/variance",
        x="trace.variance",
        xlabel="variance of uncertainty, times that of all messages",
        other="trace.correlation",
        other_label="correlation",
        about="Mean response time against FIFO's on the same subset; rows: rank correlation of uncertainty and length.",
    ),
    "strength": Condition(
        "How strongly texts must foretell lengths for RT-LM to pay (rtlm/strength).",
        sweep="rtlm/strength",
        x="trace.correlation",
        xlabel="rank correlation of uncertainty and length",
        about="Mean response time against FIFO's on the same requests.",
    ),
    "predictions": Condition(
        "RT-LM under perfect, learned and shuffled predictions (rtlm/predictions, rtlm/ablation).",
        sweep="rtlm/predictions",
        x="predictor",
        xlabel="predictor",
        other="trace.correlation",
        other_label="correlation",
        order=("oracle", "lw", "shuffled"),
        reference="rtlm/ablation",
        about=(
            "Mean response time against FIFO's on the same requests, which asks no predictor; rows: rank correlation "
            "of uncertainty and length. The oracle and the shuffled predictions take no time."
        ),
    ),
}


def make(name: str, stored: Stored, output: Path) -> list[Path]:
    """Draw the figure of the condition `name` and write its table; their files."""
    condition = CONDITIONS[name]
    table = stored.table(condition.sweep)
    fifo = of(stored.table(condition.reference or condition.sweep), system="fifo")
    own = [name for name in (condition.x, condition.other) if name not in CELL and not condition.reference]
    changes = against(table, fifo, (*CELL, *own))
    keys = ["model", condition.other, condition.x, "system"]
    found = over_seeds(changes, keys).sort_values(keys, key=ordering((*MODELS, *condition.order, *SYSTEMS)))
    drawn = found.assign(row=[f"{condition.other_label} {value:g}" for value in found[condition.other]])
    panels = Panels(
        condition.x, "response_time_mean", "row", "model", xlabel=condition.xlabel, order=condition.order,
        ylabel="change of mean response time (%)",
    )  # fmt: skip
    labels = {metric: f"{text} (%)" for metric, text in METRICS.items()}
    drawing = draw(drawn, panels, f"{condition.about} {PAIRED} {provenance_of(table)}")
    return [
        *save(drawing, output / name),
        *written(
            found[found["system"] != "fifo"].rename(columns=labels), output / name,
            f"Change against FIFO by {condition.xlabel}",
            f"{condition.about} Changes in %, with 95 % intervals (docs/statistics.md).",
            dict.fromkeys(labels.values(), "+.1f"),
        ),
    ]  # fmt: skip
