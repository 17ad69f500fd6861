"""Any csv or json file as a trace: the user says which of its columns is which, and the unit of its clock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.clock import STAMP, elapsed, exact, per_second, rough, since, stamps, zoned
from traces.files import is_sound, parse_json
from traces.formats.cells import read_cells
from traces.schema import BY_MODEL, COLUMNS, LISTS, MEASURED, REQUIRED, TEXTS, Fault, TraceError, check
from traces.windows import Windows

INSTANTS = ("arrival", "deadline", *MEASURED)  # on one clock, whose 0 is the first arrival
OWN_UNIT = "s"


def load(
    path: Path,
    *,
    columns: Mapping[str, str | None],
    unit: str | None = None,
    separator: str | None = None,
    sort: bool = False,
    id_tokens: int | None = None,
    skip_bad: bool = False,
    fixed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The trace in a csv file with a header, or a file of json objects (one a line, or one list), gzipped or not.

    `columns` maps the schema's columns to the file's (None: not there); a dotted name reaches into json objects.
    Instants (arrival, deadline, what was measured) are numbers in `unit` (None: s), or stamps of ISO 8601, and become
    seconds from the first arrival; `think` is in `unit`. A csv file's `separator` is one of `traces.formats.cells` or a
    character (None: told by its header). `sort` puts rows in the order of their arrivals, and counts in
    `attrs["out_of_order"]` those that were not. `id_tokens` is how many tokens a prompt id stands for, where no column
    says it. Ids and names may be whole numbers, of which every digit is kept; a request without a session (an empty
    cell, or null) is one of its own. `fixed` columns must hold this text in every row.

    TraceError names the file, line, column and value of what is wrong; `skip_bad` drops and counts bad rows instead.
    """
    names = _mapping(columns, path)
    if ("prompt_ids" in names) is not ("id_tokens" in names or id_tokens is not None):
        raise TraceError(
            f"{path}: trace.columns.prompt_ids and trace.id_tokens go together: the tokens of a prompt's id"
        )
    cells = read_cells(path, {**names, **{name: name for name in fixed or {}}}, REQUIRED, separator, skip_bad)
    rows, lines = cells.rows, cells.lines
    arrival, faults = _arrivals(rows["arrival"], names, unit, path)
    late = _late(arrival)
    if sort and late.any():
        order = np.argsort(arrival, kind="stable")
        rows, lines = rows.iloc[order].reset_index(drop=True), lines[order]
        arrival, faults = _arrivals(rows["arrival"], names, unit, path)
    else:
        faults.append(("arrival", "is earlier than an arrival before it (trace.sort=true sorts the rows)", late))
    faults += [(name, f"is not {text}", rows[name].ne(text).to_numpy()) for name, text in (fixed or {}).items()]
    table = pd.DataFrame({"arrival": arrival})
    for name in names:
        if name in INSTANTS[1:]:
            table[name], found = _instants(rows[name], rows["arrival"], name, unit)
            faults.append(found)
        elif name == "think":
            table[name] = rough(rows[name]) / per_second(unit, OWN_UNIT)
            faults.append((name, "is not a number", np.isnan(table[name].to_numpy()) & ~_empty(rows[name])))
        elif name == "session":
            own = pd.Series([f"line {line}" for line in lines])
            table[name] = rows[name].map(_text).mask(_empty(rows[name]), own)
        elif name in TEXTS:
            table[name] = rows[name].map(_text)
        elif name in LISTS:
            table[name] = rows[name].map(_list)
        elif name != "arrival":
            table[name] = rough(rows[name])
    if "prompt_ids" in names and "id_tokens" not in names:
        table["id_tokens"] = id_tokens
    table.attrs["skipped"] = cells.skipped
    table = check(
        table,
        str(path),
        place=lambda row: f"{cells.called} {lines[row]}",
        names=names,
        written=dict(rows.items()),
        faults=faults,
        skip_bad=skip_bad,
    )
    table.attrs["out_of_order"] = int(late.sum()) if sort else 0
    return table


def windows(
    path: str,
    columns: Mapping[str, str | None],
    unit: str | None = None,
    separator: str | None = None,
    sort: bool = False,
    id_tokens: int | None = None,
    rate: float | None = None,
    window: int | None = None,
    training_share: float | None = None,
    skip_bad: bool = False,
    resample: str | None = None,
    block: int | None = None,
) -> Windows:
    """Windows of the file that `load` reads with these settings."""
    mapping = {name: theirs for name, theirs in columns.items() if theirs is not None}
    said = ", ".join(f"{ours} = {theirs}" for ours, theirs in mapping.items())
    reader = partial(load, columns=mapping, separator=separator, sort=sort, id_tokens=id_tokens)
    return Windows(path, reader, f"own table: {said}", rate, window, training_share, skip_bad, unit, resample, block)


def _mapping(columns: Mapping[str, str | None], path: Path) -> dict[str, str]:
    """The columns that are given; TraceError for one that the schema does not have."""
    for name in columns:
        if name not in COLUMNS and not name.startswith(BY_MODEL):
            near = get_close_matches(name, COLUMNS, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise TraceError(f"trace.columns.{name} is no column of a trace{hint}; there are {', '.join(COLUMNS)}")
    given = {name: str(theirs) for name, theirs in columns.items() if theirs is not None}
    return {name: given[name] for name in (*COLUMNS, *given) if name in given}


def _arrivals(
    cells: pd.Series, names: Mapping[str, str], unit: str | None, path: Path
) -> tuple[np.ndarray, list[Fault]]:
    """Seconds from the first arrival, and what is wrong with stamps."""
    if not _are_stamps(cells):
        return elapsed(cells, unit, OWN_UNIT, str(path)), []
    if unit is not None:
        raise TraceError(
            f"{path}: {names['arrival']} holds stamps such as {cells.iloc[0]!r}, which need no unit: leave out "
            f"trace.unit={unit}"
        )
    instants, zones = stamps(cells), zoned(cells)
    readable = instants.notna().to_numpy()
    if not readable.any():
        return np.full(len(cells), np.nan), []
    differs = readable & (zones != zones[readable][0])
    reason = "has no time zone, and the first has" if zones[readable][0] else "has a time zone, and the first has none"
    return (instants - instants[readable].iloc[0]).dt.total_seconds().to_numpy(), [("arrival", reason, differs)]


def _instants(cells: pd.Series, arrivals: pd.Series, name: str, unit: str | None) -> tuple[np.ndarray, Fault]:
    """Instants on the arrivals' clock, NaN where the file has none; and which of them cannot be read."""
    if _are_stamps(arrivals):
        found = (stamps(cells) - stamps(arrivals).dropna().head(1).max()).dt.total_seconds().to_numpy()
        found = np.where(zoned(cells) == zoned(arrivals), found, np.nan)
    else:
        finite = np.flatnonzero(np.isfinite(rough(arrivals)))
        first = exact(arrivals.iloc[finite[0]]) if len(finite) else 0
        found = since(cells, first, per_second(unit, OWN_UNIT))
    return found, (name, "is not a time on the arrivals' clock", np.isnan(found) & ~_empty(cells))


def _are_stamps(cells: pd.Series) -> bool:
    """Whether more cells are stamps than are numbers."""
    texts = cells[cells.map(lambda cell: isinstance(cell, str))].astype("str").str.strip()
    return int(texts.str.fullmatch(STAMP).sum()) > int(np.isfinite(rough(cells)).sum())


def _late(arrival: np.ndarray) -> np.ndarray:
    """Which arrivals are earlier than one before them."""
    late: np.ndarray = arrival < np.fmax.accumulate(np.where(np.isinf(arrival), np.nan, arrival))
    return late


def _empty(cells: pd.Series) -> np.ndarray:
    return cells.map(lambda cell: cell is None or cell == "").to_numpy(dtype=bool)


def _text(cell: Any) -> str | None:
    """The cell as text with all its digits, "" for null; None if it is neither text nor a number."""
    if cell is None:
        return ""
    plain = isinstance(cell, str | int | Decimal) and not isinstance(cell, bool)
    return str(cell) if plain and (not isinstance(cell, str) or is_sound(cell)) else None


def _list(cell: Any) -> Any:
    """The list that a cell holds, in a csv file as json text; without one, an empty list."""
    if cell is None or cell == "":
        return []
    if isinstance(cell, str):
        try:
            cell = parse_json("cell", cell)
        except TraceError:
            return None
    return _plain(cell)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value
