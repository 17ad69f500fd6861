"""How RT-LM's gain depends on its knobs: alpha, lambda, b, xi, k and C_f (rtlm/alpha ... rtlm/c_f, rtlm/ablation)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.figures.drawing import PAIRED, Panels, listed, provenance_of
from experiments.figures.stored import METRICS, Stored, of, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import CELL, MODELS, against, draw, over_seeds


@dataclass(frozen=True, slots=True)
class Knob:
    """A knob, its sweep, its column, a second column that the sweep varies, and what that is called in the legend."""

    name: str
    sweep: str
    column: str
    other: str | None = None
    other_name: str = ""


KNOBS = (
    Knob("alpha", "rtlm/alpha", "policy.order.alpha", "trace.deadlines", "deadlines in"),
    Knob("lambda", "rtlm/lambda", "policy.batching.ratio"),
    Knob("b", "rtlm/b", "policy.batching.lookahead"),
    Knob("xi (s)", "rtlm/xi", "policy.batching.max_wait"),
    Knob("k", "rtlm/k", "calibration.malicious_quantile", "cluster.devices.cpu.profile.factor", "CPU time x"),
    Knob("C_f", "rtlm/c_f", "policy.batching.batch_size"),
)
REFERENCES = ("rtlm/ablation", "rtlm/main")  # whose FIFO runs changes are taken from
KEYS = ["knob", "load", "model", "trace.correlation", "other", "value"]
SECONDS = "mean response time (s)"
COLORS = ("#0072b2", "#dd4433", "#117733", "#aa4499")  # of correlations
DASHES = (("o", ()), ("s", (4, 2)), ("^", (1, 1.5)))  # of the second column's values
ABOUT = (
    "Alpha is UP's alone, the others are RT-LM's. Against FIFO's run of the same requests (of "
    "rtlm/ablation or rtlm/main; C_f: FIFO with the same C_f)."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw a row of panels a knob, and write the table; their files."""
    stored_knobs = stored.tables(knob.sweep for knob in KNOBS)
    tables = [_named_columns(stored_knobs[knob.sweep], knob) for knob in KNOBS if knob.sweep in stored_knobs]
    fifo = of(pd.concat(stored.tables(REFERENCES).values()), system="fifo").drop_duplicates([*CELL, "seed"])
    found = pd.concat([_found(table, fifo) for table in tables], ignore_index=True)
    found = found.sort_values(["model", "load", "trace.correlation"], key=ordering(MODELS), kind="stable")
    found = found.sort_values("knob", key=ordering([knob.name for knob in KNOBS]), kind="stable")
    labels = {metric: f"{text} (%)" for metric, text in METRICS.items()}
    lost = found[found["response_time_mean"].isna()]
    missing = f" Without FIFO runs of as many requests, so in seconds alone: {_named(lost)}." if len(lost) else ""
    files = written(
        found.rename(columns=labels), output / "sensitivity", "Sensitivity to the knobs",
        f"{ABOUT} Changes in %, with 95 % intervals (docs/statistics.md).{missing}",
        {SECONDS: ".3f"} | dict.fromkeys(labels.values(), "+.1f"),
    )  # fmt: skip
    drawn = found[found["response_time_mean"].notna()]
    if not len(drawn):
        return files
    usual = drawn["load"].mode()[0]
    drawn = drawn.assign(
        row=[row["knob"] + (f", load {row['load']:g}" if row["load"] != usual else "") for _, row in drawn.iterrows()],
        series=[_series(row["trace.correlation"], row["other"]) for _, row in drawn.iterrows()],
    )
    panels = Panels(
        "value", "response_time_mean", "row", "model", lines="series", alike=False, row_inches=1.45,
        legend="correlation", ylabel="change (%)", right=2.5,
    )  # fmt: skip
    caption = (
        f"{ABOUT} Of the mean response time; load {usual:g} where no other is said; workload "
        f"{listed(pd.concat(tables)['trace.workload'])}. Lines: rank correlation of uncertainty and length.{missing} "
        f"{PAIRED} {provenance_of(pd.concat(tables))}"
    )
    return [*files, *save(draw(drawn, panels, caption, _looks(drawn)), output / "sensitivity")]


def _named_columns(table: pd.DataFrame, knob: Knob) -> pd.DataFrame:
    """The knob's runs, with columns `knob`, `value` and `other`."""
    other = [_other(knob.other_name, value) for value in table[knob.other]] if knob.other else ""
    return table.assign(knob=knob.name, value=table[knob.column].astype(float), other=other)


def _other(name: str, value: Any) -> str:
    """A value of the second column in the legend: a number, the ends of a range, or nothing where it is not set."""
    if value is None or value != value:
        return ""
    return (
        f"{name} {value:g}"
        if isinstance(value, int | float)
        else f"{name} {' to '.join(f'{end:g}' for end in value)} s"
    )


def _found(table: pd.DataFrame, fifo: pd.DataFrame) -> pd.DataFrame:
    """Seconds, and changes where there is a reference: FIFO of the sweep itself with the same value, or `fifo`."""
    own = table[table["system"] != "fifo"]
    at = list(CELL)
    if len(own) < len(table):
        fifo, at = of(table, system="fifo"), [*CELL, "value"]
    seconds = over_seeds(own, KEYS, ["response_time_mean"]).rename(columns={"response_time_mean": SECONDS})
    changes = over_seeds(against(own, fifo, at), KEYS).drop(columns="seeds")
    return seconds.merge(changes, on=KEYS, how="left")


def _series(correlation: float, other: str) -> str:
    return f"{correlation:g}" + (f", {other}" if other else "")


def _named(lost: pd.DataFrame) -> str:
    pairs = lost[["knob", "load"]].drop_duplicates()
    return ", ".join(f"{row['knob']} at load {row['load']:g}" for _, row in pairs.iterrows())


def _looks(drawn: pd.DataFrame) -> dict[str, Look]:
    """Correlations by colour, the second column's values by marker and dashes."""
    correlations = sorted(set(drawn["trace.correlation"]))
    looks = {}
    for _, own in drawn.groupby("knob"):
        others = sorted(set(own["other"]))
        for _, row in own.iterrows():
            marker, dashes = DASHES[others.index(row["other"]) % len(DASHES)]
            color = COLORS[correlations.index(row["trace.correlation"]) % len(COLORS)]
            looks[_series(row["trace.correlation"], row["other"])] = Look(color, marker, dashes)
    return looks
