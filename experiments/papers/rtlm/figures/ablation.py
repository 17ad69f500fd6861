"""Which of UP, consolidation and offload carries RT-LM's gain: all eight combinations (rtlm/ablation)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import PAIRED, Panels, listed, provenance_of
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import MODELS, SYSTEMS, against, draw, over_seeds

PARTS = {  # system -> its mechanisms
    "fifo": (),
    "up": ("UP",),
    "consolidation": ("consolidation",),
    "offload": ("offload",),
    "up_consolidation": ("UP", "consolidation"),
    "up_offload": ("UP", "offload"),
    "consolidation_offload": ("consolidation", "offload"),
    "rtlm": ("UP", "consolidation", "offload"),
}
MECHANISMS = PARTS["rtlm"]
CELL = ["model", "cluster", "trace.correlation"]
NOTE = "Changes against fifo in %, with 95 % intervals (docs/statistics.md)."


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the main effects and write both tables; their files."""
    table = stored.table("rtlm/ablation")
    changes = against(table, of(table, system="fifo"))
    order = ordering((*MODELS, "rtlm_server", *SYSTEMS))
    combinations = over_seeds(changes, [*CELL, "system"]).sort_values([*CELL, "system"], key=order)
    effects = main_effects(changes, CELL).sort_values(CELL, key=order, kind="stable")
    overall = main_effects(changes, ["trace.correlation"]).sort_values("trace.correlation")
    everywhere = overall.assign(model="all", cluster="all")[effects.columns]
    where = f"Workload {listed(table['trace.workload'])}, load {listed(table['load'])}."
    about = f"{NOTE} {where}"
    note = (
        f"{about} The effect of a mechanism is the mean change of the four combinations with it less that of the four "
        "without it, in percentage points of FIFO's value."
    )
    labels = {metric: f"{label} (%)" for metric, label in METRICS.items()}
    formats = dict.fromkeys(labels.values(), "+.1f")
    files = written(
        combinations[combinations["system"] != "fifo"].rename(columns=labels), output / "ablation",
        "Ablation: all combinations of UP, consolidation and offload", about, formats,
    )  # fmt: skip
    files += written(
        pd.concat([everywhere, effects]).rename(columns=labels), output / "ablation_effects",
        "Ablation: the effect of each mechanism", note, formats,
    )  # fmt: skip
    for metric, label in METRICS.items():
        panels = Panels(
            "mechanism", metric, "cluster", "model", lines="trace.correlation", zero="no effect",
            ylabel=f"effect on {label} (points)", legend="correlation", order=MECHANISMS,
        )  # fmt: skip
        looks = {0.27: Look("#0072b2", "o", (4, 2)), 0.8: Look("#dd4433", "s")}
        caption = (
            "Mean change of the four combinations with a mechanism less that of the four without it; colours: rank "
            f"correlation of uncertainty and length. {where} {PAIRED} {provenance_of(table)}"
        )
        files += save(draw(effects, panels, caption, looks), output / f"ablation_{metric}")
    return files


def main_effects(changes: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """A row for each value of `by` and mechanism: the mean of the changes with it less that without it.

    Only cells in which a seed has all eight combinations count.
    """
    known = of(changes, system=tuple(PARTS))
    known = known[known.groupby([*CELL, "seed"])["system"].transform("nunique") == len(PARTS)]
    rows = []
    for mechanism in MECHANISMS:
        sign = known["system"].map({system: 1.0 if mechanism in parts else -1.0 for system, parts in PARTS.items()})
        signed = known.assign(weight=2 * sign, mechanism=mechanism)
        rows.append(over_seeds(signed, [*by, "mechanism"], averaged=[*CELL, "system"]))
    return pd.concat(rows, ignore_index=True)
