"""Errors of a simulated run against a real one as text and figure; apart from what computes them, for no result depends
on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.run.results import Folder
from experiments.validation.errors import QUANTILES, request_errors
from experiments.validation.measured import both, error_table


def render(table: pd.DataFrame, by_request: pd.DataFrame | None = None, first: str = "first") -> str:
    """The tables of `errors` and of `request_errors` as text: seconds, and shares in per cent.

    Columns `first`, which is printed as `first` says, and `rest` hold the errors of those parts of the requests
    (`experiments.validation.measured`).
    """
    shown = table.copy()
    for column in ("measured", "simulated"):
        shown[column] = ["-" if np.isnan(value) else f"{value:.4g}" for value in table[column]]
    for column in ("error", "first", "rest", "corrected"):
        if column in table:
            shown[column] = ["" if np.isnan(value) else f"{100 * value:+.1f} %" for value in table[column]]
    for column in ("spread", "detects"):
        if column in table:
            shown[column] = ["" if np.isnan(value) else f"{100 * value:.1f} %" for value in table[column]]
    shown["metric"] = table["metric"].where(table["metric"] != table["metric"].shift(), "")
    lines = [shown.rename(columns={"spread": "between real runs", "first": first}).to_string(index=False)]
    for row in [] if by_request is None else by_request.to_dict("records"):
        shares = ", ".join(f"{label} {100 * row[label]:.1f} %" for label in QUANTILES)
        lines.append(f"{row['metric']} of single requests: off by {shares}; median {100 * row['bias']:+.1f} %")
    return "\n".join(lines)


def report(folder: Folder, figure: Path) -> str | None:
    """The errors of a complete run as text, and its distributions drawn to `figure`; None for an unmeasured one."""
    summary = folder.summary()
    if "errors" not in summary:
        return None
    from experiments.figures.style import save  # matplotlib takes a second to load, and few runs are measured
    from experiments.validation.figure import draw

    table = pd.read_parquet(folder.path / "requests.parquet")
    found = error_table(table)
    real, simulated = both(table)
    stated = summary["provenance"]
    caption = f"{len(table)} requests. Trace: {stated.pop('trace')}. Profiles: {', '.join(stated.values())}."
    paths = save(draw(real, simulated, caption), figure)
    count = int(table["fitted"].sum())
    heading = f"simulated beside measured, {len(table)} requests; seconds"
    if count:
        heading += f". Errors also of the first {count} requests and of the {len(table) - count} others"
    else:
        found = found.drop(columns="rest", errors="ignore")
    shown = render(found, request_errors(real, simulated), f"first {count}")
    return "\n".join([heading, shown, *map(str, paths)])
