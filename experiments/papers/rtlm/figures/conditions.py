"""RT-LM under other conditions: how each system changes FIFO's response time as one thing varies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.figures.drawing import PAIRED, Panels, draw, provenance_of
from experiments.figures.stored import CELL, METRICS, MODELS, SYSTEMS, Stored, against, of, ordering, over_seeds
from experiments.figures.style import save
from experiments.figures.write import written


@dataclass(frozen=True, slots=True)
class Condition:
    """What varies in a sweep: `x` along an axis, `other` from row to row.

    FIFO is the sweep's own at equal `x` and `other`, or that of the sweep `reference` on the same requests.
    """

    name: str
    sweep: str
    x: str
    xlabel: str
    about: str
    other: str = "load"
    other_label: str = "load"
    order: tuple[str, ...] = ()
    reference: str = ""


def make(condition: Condition, stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
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
        *save(drawing, output / condition.name),
        *written(
            found[found["system"] != "fifo"].rename(columns=labels), output / condition.name,
            f"Change against FIFO by {condition.xlabel}",
            f"{condition.about} Changes in %, with 95 % intervals (docs/statistics.md).",
            dict.fromkeys(labels.values(), "+.1f"),
        ),
    ]  # fmt: skip
