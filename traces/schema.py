"""What a trace is: a table with one row a request, in order of arrival, and the check that every loader ends with."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, pairwise
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from traces.kinds import KINDS

REQUIRED = ("arrival", "prompt_tokens", "output_tokens")
COUNTS = ("prompt_tokens", "output_tokens", "max_tokens", "id_tokens")
TEXTS = ("request_id", "prompt_text", "client", "task", "session", "message_id")
PREFIX = ("prompt_ids", "id_tokens")  # an id for each `id_tokens` tokens of the prompt: equal first ids, shared prefix
LISTS = ("prompt_ids", "pauses", "proposals", "samples")
MEASURED = ("measured_first_scheduled", "measured_first_token", "measured_finished")  # s, what a real run did
SECONDS = ("deadline", "think")  # where a row has none: NaN
COLUMNS = (*REQUIRED, "max_tokens", *TEXTS, "priority", *SECONDS, *PREFIX, *LISTS[1:], *KINDS, *MEASURED)
BY_MODEL = "output_tokens."  # and a model's name: how long its answer is, where models answer at different lengths
LONGEST = 10_000_000  # tokens; a longer prompt or answer is taken for a mistake in the file
SEQUENCES = (list, tuple, np.ndarray)
SKIPPING = "trace.skip_bad=true (--skip-bad on a command line) drops and counts such rows"
SHOWN = 3  # bad cells that an error names
LONGEST_MESSAGE = 1000  # characters

Fault = tuple[str, str, np.ndarray]  # column, reason, mask of the rows


class TraceError(ValueError):
    """A trace or trace file that cannot be used; the message names the source, the place, the value and the reason.

    It is one line, whatever stands in the file: line ends and control characters are escaped, a long text is cut.
    """

    def __init__(self, message: str) -> None:
        cut = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."
        super().__init__("".join(one if one.isprintable() else repr(one)[1:-1] for one in cut))


def check(
    table: pd.DataFrame,
    source: str,
    *,
    first_line: int | None = None,
    place: Callable[[int], str] | None = None,
    names: Mapping[str, str] | None = None,
    written: Mapping[str, pd.Series] | None = None,
    faults: Iterable[Fault] = (),
    skip_bad: bool | None = None,
) -> pd.DataFrame:
    """`table` with its columns in order and typed: arrivals in float64 seconds, counts in int64 tokens, ids in ints.

    Raises TraceError for columns that are missing, unknown or repeated, for an empty table, and for bad cells, unless
    `skip_bad` drops their rows and counts them by reason in `attrs["skipped"]` (None: rows of no file, of which nobody
    can have it so). `first_line` is the line of the first row in a text file, or `place` says where each row stands
    (else rows are numbered from 1); `names` is what the file calls a column and `written` the cells that it holds
    there, where they differ. `faults` are what a loader found itself, in columns of either; what it left out itself it
    has counted in the table's `attrs["skipped"]`.
    """
    names = names or {}
    prefix = PREFIX if set(PREFIX) & set(table.columns) else ()
    session = ("session",) if "think" in table.columns else ()
    known = (*COLUMNS, *by_model(table))
    check_columns(table, source, (*REQUIRED, *prefix, *session), known)
    table = table[[name for name in known if name in table]].reset_index(drop=True)
    numbers = {name: _numbers(table[name]) for name in table if name not in (*TEXTS, *LISTS)}
    found = _first_faults(chain(faults, _faults(table, numbers)))
    if found and not skip_bad:
        word, first = ("row", 1) if first_line is None else ("line", first_line)
        place = place or (lambda row: f"{word} {row + first}")
        message = _message(table.assign(**(written or {})), source, found, place, names)
        raise TraceError(message if skip_bad is None else f"{message}; {SKIPPING}")
    kept = np.ones(len(table), dtype=bool)
    kept[list(found)] = False
    if not kept.any():
        raise TraceError(f"{source}: all {len(table)} rows are bad, the first: {found[0][0]} {found[0][1]}")
    types = {name: np.int64 if _is_count(name) else np.float64 for name in numbers}
    typed = {name: cells[kept].astype(types[name]) for name, cells in numbers.items()}
    checked = table[kept].reset_index(drop=True).assign(**typed)
    if "prompt_ids" in checked:
        checked["prompt_ids"] = [list(map(int, ids)) for ids in checked["prompt_ids"]]
    checked.attrs = dict(table.attrs)
    if skip_bad:
        skipped = Counter(f"{names.get(column, column)} {reason}" for column, reason in found.values())
        checked.attrs["skipped"] = {**table.attrs.get("skipped", {}), **skipped}
    return checked


def by_model(table: pd.DataFrame) -> dict[str, str]:
    """Column -> model, of the columns that say how long a model's answers are."""
    names = (str(name) for name in table.columns)
    return {name: name.removeprefix(BY_MODEL) for name in names if name.startswith(BY_MODEL) and name != BY_MODEL}


def _is_count(name: str) -> bool:
    return name in COUNTS or name.startswith(BY_MODEL)


def check_columns(table: pd.DataFrame, source: str, required: tuple[str, ...], known: tuple[str, ...]) -> None:
    """TraceError if a column is missing, unknown or repeated, or if there is no row."""
    present = [str(name) for name in table.columns]
    repeated = sorted(name for name, count in Counter(present).items() if count > 1)
    missing = [name for name in required if name not in present]
    unknown = [name for name in present if name not in known]
    for problem, columns in (("repeated", repeated), ("missing", missing), ("unknown", unknown)):
        if columns:
            raise TraceError(f"{source}: {problem} column {', '.join(map(repr, columns))}; it has {', '.join(present)}")
    if table.empty:
        raise TraceError(f"{source}: no rows")


def _numbers(column: pd.Series) -> np.ndarray:
    """The cells as float64, NaN where a cell is not a number (a truth value is not one)."""
    if column.dtype.kind not in "iuf":
        if not isinstance(column.dtype, pd.StringDtype):
            readable = column.map(lambda cell: isinstance(cell, str | Real) and not isinstance(cell, bool | np.bool_))
            column = column.astype(object).where(readable, None)
        column = pd.to_numeric(column, errors="coerce")
    cells: np.ndarray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return cells


def _faults(table: pd.DataFrame, numbers: Mapping[str, np.ndarray]) -> Iterator[Fault]:
    """Every way in which cells can be bad, the gravest first within a column."""
    for name, cells in numbers.items():
        unread = np.isnan(cells)
        if name in SECONDS:
            unread &= table[name].notna().to_numpy()
        yield name, "is not a time" if name == "arrival" else "is not a number", unread
        yield name, "is not finite", np.isinf(cells)
        if _is_count(name):
            yield name, "is below 1", cells < 1
            yield name, f"is above {LONGEST:,} tokens", cells > LONGEST
            yield name, "is not a whole number", cells != np.floor(cells)
        elif name in ("arrival", "think", *KINDS):
            yield name, "is before the trace's start" if name == "arrival" else "is negative", cells < 0
    arrival = numbers["arrival"]
    latest = np.fmax.accumulate(np.where(np.isinf(arrival), np.nan, arrival))
    yield "arrival", "is earlier than an arrival before it", arrival < latest
    if "deadline" in numbers:
        yield "deadline", "is before the request's arrival", numbers["deadline"] < arrival
    instants = [name for name in ("arrival", *MEASURED) if name in numbers]
    for before, after in pairwise(instants):
        yield after, f"is before {before}", numbers[after] < numbers[before]
    if "max_tokens" in numbers:
        for name in ("output_tokens", *by_model(table)):
            yield name, "is above max_tokens", numbers[name] > numbers["max_tokens"]
    for name in TEXTS:
        if name in table:
            yield name, "is not text", ~table[name].map(lambda cell: isinstance(cell, str)).to_numpy(dtype=bool)
    if "request_id" in table:
        yield "request_id", "was there before", table["request_id"].astype(str).duplicated().to_numpy()
    yield from _list_faults(table, numbers)


def _list_faults(table: pd.DataFrame, numbers: Mapping[str, np.ndarray]) -> Iterator[Fault]:
    if "prompt_ids" in table:
        ids = table["prompt_ids"]
        yield "prompt_ids", "are not whole numbers of 64 bits", ~ids.map(_whole_numbers).to_numpy(dtype=bool)
        wanted = np.ceil(numbers["prompt_tokens"] / np.fmax(numbers["id_tokens"], 1))
        counts = ids.map(lambda cell: len(cell) if isinstance(cell, SEQUENCES) else -1).to_numpy(dtype=float)
        yield "prompt_ids", "are not one for each id_tokens tokens of the prompt", (counts > 0) & (counts != wanted)
    for name in LISTS[1:] if by_model(table) else ():
        if name in table:
            there = [isinstance(cell, SEQUENCES) and len(cell) > 0 for cell in table[name]]
            yield name, "are of one answer, and the models' are several", np.array(there, dtype=bool)
    if "pauses" in table:
        sound = [_sound_pauses(*cells) for cells in zip(table["pauses"], numbers["output_tokens"], strict=True)]
        reason = "are not [[tokens emitted before, seconds, tokens returned], ...] in order within the answer"
        yield "pauses", reason, ~np.array(sound, dtype=bool)
    if "proposals" in table:
        sound = [_sound_proposals(*cells) for cells in zip(table["proposals"], numbers["output_tokens"], strict=True)]
        reason = "are not [[confidence, divergence, agrees], ...], one for each output token"
        yield "proposals", reason, ~np.array(sound, dtype=bool)
    if "samples" in table:
        longest = numbers["max_tokens"] if "max_tokens" in numbers else np.full(len(table), LONGEST)
        sound = [_sound_samples(*cells) for cells in zip(table["samples"], longest, strict=True)]
        reason = "are not [output tokens, ...] of other answers, each from 1 to max_tokens"
        yield "samples", reason, ~np.array(sound, dtype=bool)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of 64 bits, with a sign or without one."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and -(1 << 63) <= int(value) < 1 << 64


def _whole_numbers(cell: Any) -> bool:
    return isinstance(cell, SEQUENCES) and all(map(is_whole, cell))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _sound_pauses(cell: Any, output_tokens: float) -> bool:
    if not isinstance(cell, SEQUENCES):
        return False
    emitted = 0.0
    for pause in cell:
        if not (isinstance(pause, SEQUENCES) and len(pause) == 3 and all(map(_is_number, pause))):
            return False
        before, seconds, returned = pause
        if not (emitted < before < output_tokens and 0 <= seconds < np.inf and 0 <= returned <= LONGEST):
            return False
        if before % 1 or returned % 1:
            return False
        emitted = before
    return True


def _sound_proposals(cell: Any, output_tokens: float) -> bool:
    """Whether each has a probability, nats from 0 and a truth value, which parquet may have made 0 or 1."""
    if not isinstance(cell, SEQUENCES) or len(cell) not in (0, output_tokens):
        return False
    return all(
        isinstance(one, SEQUENCES)
        and len(one) == 3
        and all(map(_is_number, one[:2]))
        and 0 <= one[0] <= 1
        and 0 <= one[1] < np.inf
        and one[2] in (0, 1)
        for one in cell
    )


def _sound_samples(cell: Any, longest: float) -> bool:
    return _whole_numbers(cell) and (not len(cell) or (min(cell) >= 1 and max(cell) <= min(longest, LONGEST)))


def _first_faults(faults: Iterator[Fault]) -> dict[int, tuple[str, str]]:
    """Row position -> (column, reason) of its first fault, in row order."""
    found: dict[int, tuple[str, str]] = {}
    for column, reason, mask in faults:
        for row in np.flatnonzero(mask):
            found.setdefault(int(row), (column, reason))
    return dict(sorted(found.items()))


def _message(
    table: pd.DataFrame,
    source: str,
    faults: Mapping[int, tuple[str, str]],
    place: Callable[[int], str],
    names: Mapping[str, str],
) -> str:
    cells = [
        f"{place(row)}: {names.get(column, column)} {_shown(table[column].iloc[row])} {reason}"
        for row, (column, reason) in list(faults.items())[:SHOWN]
    ]
    more = f"; and {len(faults) - SHOWN} more bad rows" if len(faults) > SHOWN else ""
    return f"{source}, {'; '.join(cells)}{more}"


def _shown(cell: Any) -> str:
    plain = cell.item() if isinstance(cell, np.generic) else cell
    text = reprlib.repr(plain) if isinstance(plain, SEQUENCES) else repr(plain)
    return text if len(text) <= 60 else text[:57] + "..."
