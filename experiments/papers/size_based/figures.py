"""The figures that all five papers share."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.drawing import PAIRED, Panels, draw
from experiments.figures.stored import Figure, Stored, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.size_based.tables import FCFS, LEARNED, ORACLE, SETTINGS, SHUFFLED, changes

__all__ = ["FIGURES", "SETTINGS"]

KINDS = {ORACLE: "lengths known", "learned": "its own predictor", "none": "asks for none", SHUFFLED: "shuffled lengths"}
LOOKS = {
    KINDS[ORACLE]: Look("#117733", "s"),
    KINDS["learned"]: Look("#dd4433", "^"),
    KINDS["none"]: Look("#332288", "D"),
    KINDS[SHUFFLED]: Look("#888888", "o"),
}
ABOUT = (
    "Mean response time against FCFS on the same engine, at 1.2 times what vLLM's FCFS can serve, Llama-3.1-8B's "
    "latencies; prediction is charged. TRAIL's own predictor is its published errors, for its probe needs the model's "
    "hidden states."
)


def predictions(stored: Stored, output: Path) -> list[Path]:
    """Draw what each policy gains by which predictor, and write the table with what is kept; their files."""
    found = changes(stored).sort_values(["trace", "policy"], key=ordering(tuple(FCFS)), kind="stable")
    learned = found["predictor"] == found["policy"].map(LEARNED)
    kind = found["predictor"].mask(learned, "learned").map(KINDS)
    drawn = found.assign(kind=kind, row="change of mean response time (%)").dropna(subset="kind")
    panels = Panels(
        "policy", "change", "row", "trace", lines="kind", zero="FCFS", order=tuple(FCFS), known=tuple(KINDS.values()),
        row_inches=2.4, right=1.9,
    )  # fmt: skip
    shown = found.assign(kept=["-" if one is None else f"{one:.0f}" for one in found["kept"]])
    return [
        *save(draw(drawn, panels, f"{ABOUT} {PAIRED}", LOOKS), output / "predictions"),
        *written(
            shown.rename(columns={"change": "change (%)", "kept": "kept of the oracle's gain (%)"}),
            output / "predictions", "What predictions are worth", ABOUT, {"change (%)": "+.1f"},
        ),
    ]  # fmt: skip


FIGURES = {"predictions": Figure("what each policy keeps of its gain with which predictor", predictions)}
