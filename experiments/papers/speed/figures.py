"""SPEED's figure: latency by task, beside a decoder of 12 layers and the shallow one of as many as are shared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import provenance_of
from experiments.figures.stored import Figure, Stored, of
from experiments.figures.write import written
from experiments.papers.size_based.panels import Curve, Panel, draw, requests_of
from experiments.papers.size_based.times import times
from experiments.papers.speed.tables import DEEP, LATENCY, MODEL, SETTINGS, SYSTEMS, TASKS, UNSHARED, System, settings
from experiments.tables.stats import Interval, interval

__all__ = ["FIGURES", "SETTINGS"]

AT = "trace/lengths"
ABOUT = (
    "T5 1.1 Base's decoder on an A5000, by datasheet; {} examples one after another; lengths of the tasks are assumed "
    "[A]. Times the latency of the unshared 12 layers. SPEED: {} of the predictions change [S], all at the second time "
    "through [A]; its pipeline fills while the prompt is read, or after it. The paper gives no values: about the "
    "shallow model's, and much less than the deep one's, but for WMT."
)


def latency(stored: Stored, output: Path) -> list[Path]:
    """Latency over the deep model's, by task; and as a table, in ms, at each change and filling."""
    unshared = stored.table(UNSHARED)
    panels = [
        Panel(system.called, "", "times the 12 layers' latency", _curves(stored, system), words=[*TASKS.values()])
        for system in SYSTEMS.values()
    ]
    rates = " and ".join(next(reversed(system.changes.values())) for system in SYSTEMS.values())
    caption = f"{ABOUT.format(requests_of(unshared), rates)} {provenance_of(unshared)}"
    rows = [
        {"": f"unshared, {layers} layers", **_ms(of(unshared, **{MODEL: model}))}
        for model, layers in ((DEEP, 12), *((system.shallow, _layers(system)) for system in SYSTEMS.values()))
    ]
    rows += [
        {"": f"SPEED {SYSTEMS[name].called}, {where}", **_ms(own)}
        for name in SYSTEMS
        for where, own in settings(stored, name)
    ]
    notes = "Of one request at a time, from arrival to its last token; means with 95 % intervals over seeds."
    formats = dict.fromkeys(TASKS.values(), ".1f")
    return draw(panels, caption, output / "speed") + written(
        pd.DataFrame(rows), output / "speed", "SPEED: latency by task, ms", notes, formats
    )


def _ms(runs: pd.DataFrame) -> dict[str, Interval]:
    return {called: interval(1e3 * of(runs, **{AT: task})[LATENCY]) for task, called in TASKS.items()}


def _layers(system: System) -> str:
    return system.shallow.rsplit("-", 1)[-1]


def _curves(stored: Stored, system: System) -> dict[str, Curve]:
    unshared, own = stored.table(UNSHARED), stored.table(system.sweep)
    own = of(own, **{"decoding.changes": next(reversed(system.changes))})
    unfilled, filled = sorted(own["decoding.filling"].unique())
    runs = {
        f"unshared {_layers(system)}": of(unshared, **{MODEL: system.shallow}),
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


FIGURES = {
    "speed": Figure(
        "SPEED: latency by task, beside the deep and the shallow model: speculative/speed_unshared, _4x3, _2x6", latency
    )
}
