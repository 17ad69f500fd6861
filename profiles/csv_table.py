"""Read a csv of measurements, and refuse what cannot be right by file, line, column and value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

FIRST_LINE = 2


def read_csv(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """The csv (gzipped or not) at `path`; ValueError names the `columns` that it lacks. Its index is the line."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}")
    table.index = pd.RangeIndex(FIRST_LINE, FIRST_LINE + len(table), name="line")
    return table


def checked(
    table: pd.DataFrame, path: str | Path, columns: Sequence[str], least: float, skip_bad: bool
) -> pd.DataFrame:
    """`table` with numbers of `least` or more in `columns`; ValueError names file, line, column and value of a bad one.

    `least` of 0 means more than 0. With `skip_bad` lines with a bad value are left out, and their number is printed.
    """
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce")
    bad = ~(np.isfinite(numbers) & ((numbers >= least) & (numbers > 0 if least == 0 else True)))
    lines = bad.any(axis=1)
    if lines.any() and not skip_bad:
        line = lines.idxmax()
        column = bad.loc[line].idxmax()
        bound = "positive" if least == 0 else f"{least:g} or more"
        raise ValueError(f"{path}:{line}: {column} must be {bound}, got {table.loc[line, column]!r}")
    if lines.any():
        print(f"{path}: {int(lines.sum())} of {len(table)} lines left out for a value that is none or too small")
    kept = table[~lines].copy()
    kept[list(columns)] = numbers[~lines]
    return kept
