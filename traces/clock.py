"""Instants as files have them, in seconds from the first: numbers of a unit, or stamps of ISO 8601."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd

from traces.schema import Fault, TraceError

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of each, how many in a second
FAR = 1e11  # s, the year 5138: an instant beyond it is taken for one in another unit
STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(Z|UTC|[+-]\d\d(?::?\d\d)?))?"  # its zone
_NANOSECONDS = "datetime64[ns, UTC]"


def per_second(unit: str | None, own: str) -> int:
    """How many of `unit` (None: `own`) are in a second; TraceError for one that is not known."""
    name = own if unit is None else unit
    if name not in UNITS:
        raise TraceError(f"trace.unit must be one of {', '.join(UNITS)}, got {unit!r}")
    return UNITS[name]


def elapsed(cells: pd.Series, unit: str | None, own: str, source: str) -> np.ndarray:
    """Seconds from the first readable number in `cells`, each differing from it exactly, in `unit` (None: `own`).

    NaN where there is no number. TraceError if in its `own` unit the first were thousands of years from 1970.
    """
    each, near = per_second(unit, own), rough(cells)
    finite = np.flatnonzero(np.isfinite(near))
    if not len(finite):
        return near
    first = finite[0]
    if unit is None and abs(near[first]) > FAR * each:
        likely = next((name for name, many in UNITS.items() if abs(near[first]) <= FAR * many), "ns")
        raise TraceError(
            f"{source}: the first instant is {cells.iloc[first]} {own}, after the year 5000: is it in another unit? "
            f"trace.unit={likely} (or trace.unit={own}, if it is as it should be)"
        )
    return since(cells, exact(cells.iloc[first]), each)


def since(cells: pd.Series, first: int | Decimal, each: int) -> np.ndarray:
    """Seconds of `cells` after `first`, both in units of which `each` are a second; NaN where there is no number."""
    differences = rough(cells).copy()
    finite = np.isfinite(differences)
    if finite.all() and first == int(first):
        whole = pd.to_numeric(cells)
        if whole.dtype.kind == "i" and np.ptp(differences) < 2.0**62:
            return np.asarray((whole.to_numpy() - int(first)) / each)
    numbers = (exact(cell) for cell in cells[finite].tolist())
    differences[finite] = [float((number - first) / Decimal(each)) for number in numbers]
    return differences


def exact(cell: Any) -> int | Decimal:
    """The number that a readable cell says, with all its digits."""
    if isinstance(cell, int | np.integer):
        return int(cell)
    try:
        return Decimal(str(cell).strip())
    except InvalidOperation:
        return Decimal(float(cell))


def rough(cells: pd.Series) -> np.ndarray:
    """The cells as float64, NaN where one is no number."""
    plain = cells if pd.api.types.infer_dtype(cells, skipna=False) == "string" else cells.map(_float)
    found: np.ndarray = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return found


def _float(cell: Any) -> float | str | None:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float | Decimal):
        return None
    try:
        return cell if isinstance(cell, str) else float(cell)
    except OverflowError:
        return np.inf


def negative(cells: pd.Series) -> Fault:
    """Arrivals below 0, for a format whose stamps count from its trace's start, or from 1970."""
    return "arrival", "is before the trace's start", rough(cells) < 0


def stamps(cells: pd.Series) -> pd.Series:
    """The instants of stamps such as 2023-11-16T18:15:46.68+01:00 (without a zone: UTC), NaT where there is none,
    or none that can be told to the nanosecond (before 1678, after 2261)."""
    text = cells.where(cells.map(lambda cell: isinstance(cell, str))).astype("str").str.strip()
    sound = text.where(text.str.fullmatch(STAMP)).str.replace(",", ".").str.replace(" ?UTC$", "Z", regex=True)
    found = pd.to_datetime(sound, errors="coerce", format="ISO8601", utc=True)
    return found.where(found.dt.year.between(1678, 2261)).astype(_NANOSECONDS)


def zoned(cells: Iterable[Any]) -> np.ndarray:
    """Of each stamp, whether it says its zone."""
    return pd.Series(list(cells), dtype="str").str.strip().str.extract(STAMP)[0].notna().to_numpy()
