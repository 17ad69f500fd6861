"""SPEED's figure: latency by task, beside a decoder of 12 layers and the shallow one of as many as are shared."""

from __future__ import annotations

from pathlib import Path

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.papers.size_based.panels import Curve, Panel, draw, requests_of
from experiments.papers.size_based.times import times
from experiments.papers.speed.tables import DEEP, LATENCY, MODEL, SETTINGS, SYSTEMS, TASKS, UNSHARED, System

__all__ = ["FIGURES", "SETTINGS"]

AT = "trace/lengths"
ABOUT = (
    "T5 1.1 Base's decoder on an A5000, by datasheet; {} examples one after another; lengths of the tasks are assumed "
    "[A]. Times the latency of the unshared 12 layers. SPEED: {} of the predictions change [S], all at the second time "
    "through [A]; its pipeline fills while the prompt is read, or after it. The paper gives no values: about the "
    "shallow model's, and much less than the deep one's, but for WMT."
)


def latency(stored: Stored, output: Path) -> list[Path]:
    """Latency over the deep model's, by task."""
    unshared = stored.table(UNSHARED)
    panels = [
        Panel(system.called, "", "times the 12 layers' latency", _curves(stored, system), words=[*TASKS.values()])
        for system in SYSTEMS.values()
    ]
    rates = " and ".join(next(reversed(system.changes.values())) for system in SYSTEMS.values())
    caption = f"{ABOUT.format(requests_of(unshared), rates)} {provenance_of(unshared)}"
    return draw(panels, caption, output / "speed")


def _curves(stored: Stored, system: System) -> dict[str, Curve]:
    unshared, own = stored.table(UNSHARED), stored.table(system.sweep)
    own = of(own, **{"decoding.changes": next(reversed(system.changes))})
    unfilled, filled = sorted(own["decoding.filling"].unique())
    layers = system.shallow.rsplit("-", 1)[-1]
    runs = {
        f"unshared {layers}": of(unshared, **{MODEL: system.shallow}),
        "SPEED, filled with the prompt": of(own, **{"decoding.filling": unfilled}),
        "SPEED, filled after it": of(own, **{"decoding.filling": filled}),
    }
    deep = of(unshared, **{MODEL: DEEP})
    return {
        called: [
            (number, times(of(rows, **{AT: task}), of(deep, **{AT: task}), LATENCY))
            for number, task in enumerate(TASKS)
        ]
        for called, rows in runs.items()
    }


FIGURES = {"speed": Figure("SPEED: latency by task, beside the deep and the shallow model", latency)}
