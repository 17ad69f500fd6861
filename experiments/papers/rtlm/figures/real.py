"""RT-LM where texts and lengths belong together: recorded answers of two models (rtlm/recorded, rtlm/castillo)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import PAIRED, Panels, provenance_of
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import SYSTEMS, against, draw, over_seeds

SWEEPS = {"rtlm/recorded": "SmolLM2-135M's own answers", "rtlm/castillo": "CASTILLO, Llama-3.1-8B"}
KEYS = ["trace", "load", "system"]
ABOUT = "Recorded prompts with the answers that a model gave to them; arrivals are synthetic."


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    tables = stored.tables(SWEEPS)
    found = pd.concat([_changes(table, SWEEPS[sweep]) for sweep, table in tables.items()])
    found = found.sort_values(KEYS, key=ordering(SYSTEMS))
    drawn = pd.concat(
        [found.assign(row=f"change of {label} (%)", change=found[metric]) for metric, label in METRICS.items()]
    )
    panels = Panels("load", "change", "row", "trace", xlabel="load")
    caption = f"{ABOUT} {PAIRED} {provenance_of(pd.concat(tables.values()))}"
    labels = {metric: f"{label} (%)" for metric, label in METRICS.items()}
    return [
        *save(draw(drawn, panels, caption), output / "real"),
        *written(
            found[found["system"] != "fifo"].rename(columns=labels), output / "real", "Real pairs: change against FIFO",
            f"{ABOUT} Changes in %, with 95 % intervals (docs/statistics.md).", dict.fromkeys(labels.values(), "+.1f"),
        ),
    ]  # fmt: skip


def _changes(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return over_seeds(against(table, of(table, system="fifo")).assign(trace=name), KEYS)
