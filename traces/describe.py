"""Say what is in a trace: `python -m traces.describe azure_2023_conv`, or the path of a csv, csv.gz or parquet file."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from traces.formats import azure, parquet
from traces.locate import public_file


def read(name: str) -> pd.DataFrame:
    """The trace called `name` among the public ones, or at the path `name`."""
    known = name.endswith((".csv", ".csv.gz", ".parquet"))
    path = public_file(name if known else f"traces/{name}.csv.gz")
    return parquet.read(path) if path.suffix == ".parquet" else azure.load(path)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Rows, span (s), mean rate (requests/s), CV of the gaps, and mean and quantiles of the lengths (tokens)."""
    gaps = np.diff(table["arrival"].to_numpy())
    span = float(gaps.sum())
    figures = {
        "rows": float(len(table)),
        "span": span,
        "rate": len(gaps) / span if span > 0 else np.nan,
        "gap_cv": float(gaps.std() / gaps.mean()) if span > 0 else np.nan,
    }
    for name in ("prompt_tokens", "output_tokens"):
        lengths = table[name].to_numpy()
        figures[f"{name}_mean"] = float(lengths.mean())
        for percent in (50, 90, 99):
            figures[f"{name}_p{percent}"] = float(np.percentile(lengths, percent))
    return figures


def main(arguments: list[str]) -> int:
    """Print the summary of the trace that `arguments` names."""
    if len(arguments) != 1:
        print("usage: python -m traces.describe NAME|PATH", file=sys.stderr)
        return 2
    try:
        figures = summary(read(arguments[0]))
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, figure in figures.items():
        print(f"{name:<20}{figure:,.2f}".rstrip("0").rstrip("."))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
