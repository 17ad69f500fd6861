"""What `validate kernels` prints and keeps: errors, what each part of the simulation moves, and both distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from experiments.figures.style import save
from experiments.run.written import write_whole
from experiments.validation.errors import METRICS, errors, request_errors
from experiments.validation.figure import draw
from experiments.validation.report import as_json as line_of
from experiments.validation.shown import render

LEGEND = "[A] assumed, [R] read in the source that is named, [D] derived"


def parts(real: pd.DataFrame, whole: pd.DataFrame, less: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for the `whole` simulation and each that is `less` one part: errors of the means and of requests/s."""
    rows = []
    for name, table in {"": whole, **less}.items():
        found = errors(real, table).set_index(["metric", "statistic"])["error"]
        row = {metric: float(found[metric, "mean"]) for metric in METRICS}
        rows.append({"without": name, **row, "requests/s": float(found["throughput", "requests/s"])})
    return pd.DataFrame(rows)


def write(
    folder: Path,
    facts: Sequence[str],
    real: pd.DataFrame,
    whole: pd.DataFrame,
    less: Mapping[str, pd.DataFrame],
    *,
    as_json: bool,
) -> None:
    """Print the comparison as tables, or as JSON lines, and keep both in `folder` with a picture."""
    table, single, moved = errors(real, whole), request_errors(real, whole), parts(real, whole, less)
    shown = moved.assign(without=moved["without"].replace("", "(nothing)"))
    for column in moved.columns[1:]:
        shown[column] = [f"{100 * value:+.1f} %" for value in moved[column]]
    many = f"{len(real)} request{'s' * (len(real) != 1)}"
    preempted = int(whole["preemptions"].sum())
    text = "\n\n".join(
        [
            "\n".join(facts),
            f"{many}; seconds; {preempted} preemptions simulated\n{render(table, single)}",
            f"errors of the means with a part taken out\n{shown.to_string(index=False)}",
            LEGEND,
        ]
    )
    kinds = {"error": table, "request_error": single, "part": moved}
    found = [line_of({"kind": kind, **row}) for kind, rows in kinds.items() for row in rows.to_dict("records")]
    lines = [line_of({"kind": "facts", "facts": list(facts), "preemptions": preempted}), *found]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "report.txt", text + "\n")
    write_whole(folder / "report.jsonl", "\n".join(lines) + "\n")
    paths = save(draw(real, whole, f"{many}. {facts[0]}."), folder / "distributions")
    print("\n".join(lines) if as_json else f"{text}\n\nresults: {folder} ({', '.join(path.name for path in paths)})")
