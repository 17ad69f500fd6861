"""Load a spoilt file in every way a user would, and compare with what it says."""

from __future__ import annotations

import contextlib
import io
import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tests.tracefuzz.case import Case
from tests.tracefuzz.reading import ANY, Line, Reading, Unreadable, Verdict
from traces import describe
from traces.schema import TraceError
from traces.sniff import told

REFUSED, RIGHT, OTHER = "refused", "right", "indistinguishable"
CRASHED, HUNG, WRONG, STRICT, WARNED, UNTIDY = "crashed", "hung", "wrong", "refused a legal file", "warned", "untidy"
OUTCOMES = (REFUSED, RIGHT, OTHER, CRASHED, HUNG, WRONG, STRICT, WARNED, UNTIDY)
DEFECTS = (CRASHED, HUNG, WRONG, STRICT, WARNED, UNTIDY)  # the gravest first
LONGEST_MESSAGE = 1500  # characters: what still reads as one line


@dataclass(frozen=True)
class Verdicts:
    """What became of a case: an outcome, and the details of a defect."""

    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class _Loaded:
    table: pd.DataFrame | None = None
    refusal: str | None = None
    crash: str | None = None
    warning: str = ""


def judge(case: Case, folder: Path, *, described: bool) -> Verdicts:
    """Write the file below `folder`, load it strictly, with skip_bad, and if asked with `traces.describe`; the worst
    counts."""
    path = folder / case.name
    path.write_bytes(case.content)
    try:
        reading = case.format.read(case.content, case.name)
    except Unreadable as error:
        reading = error
    strict = _load(lambda: case.format.load(path))
    found = [_strict(case, reading, strict, path)]
    if case.format.skips:
        found.append(_skipping(reading, _load(lambda: case.format.load(path, skip_bad=True)), path))
    if described and case.format.described:
        found.append(_described(path, strict))
    return min(found, key=lambda one: DEFECTS.index(one.outcome) if one.outcome in DEFECTS else len(DEFECTS))


def _load(load: Callable[[], pd.DataFrame]) -> _Loaded:
    with warnings.catch_warnings(record=True) as caught, _standard_error() as written:
        warnings.simplefilter("always")
        try:
            found = _Loaded(load())
        except (TraceError, OSError) as error:
            found = _Loaded(refusal=str(error))
        except Exception as error:  # to catch what nobody thought of is what this is for
            found = _Loaded(crash=_place(error))
    said = [f"{one.category.__name__}: {one.message}" for one in caught] + written
    return _Loaded(found.table, found.refusal, found.crash, "; ".join(said))


@contextlib.contextmanager
def _standard_error() -> Iterator[list[str]]:
    """What is written to sys.stderr meanwhile."""
    lines: list[str] = []
    with contextlib.redirect_stderr(io.StringIO()) as text:
        yield lines
    lines += text.getvalue().splitlines()


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/traces/" in frame.filename] or frames
    at = ours[-1]
    return f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno} {at.name}: {str(error)[:120]}"


def _common(loaded: _Loaded, path: Path) -> Verdicts | None:
    """Defects of any kind of load."""
    if loaded.crash:
        return Verdicts(CRASHED, loaded.crash)
    if loaded.warning:
        return Verdicts(WARNED, loaded.warning[:200])
    said = loaded.refusal
    if said is not None and (len(said) > LONGEST_MESSAGE or len(said.splitlines()) != 1 or path.name not in said):
        return Verdicts(UNTIDY, f"{len(said)} characters, {len(said.splitlines())} lines: {said[:200]!r}")
    return None


def _strict(case: Case, reading: Reading | Unreadable, loaded: _Loaded, path: Path) -> Verdicts:
    if defect := _common(loaded, path):
        return defect
    if isinstance(reading, Unreadable):
        return Verdicts(WRONG, f"loaded, though {reading}") if loaded.refusal is None else Verdicts(REFUSED)
    bad = [f"row {at + 1}: {line.why}" for at, line in enumerate(reading.lines) if line.verdict is Verdict.BAD]
    if loaded.refusal is None:
        if bad and not all(line.blank for line in reading.lines if line.verdict is Verdict.BAD):
            return Verdicts(WRONG, f"loaded, though {bad[0]}")
        kept = [line for line in reading.lines if line.verdict is not Verdict.BAD]
        if problem := difference(kept, loaded.table, reading):
            return Verdicts(WRONG, problem)
        before = case.format.read(case.base, case.name)
        return Verdicts(OTHER if difference(before.lines, loaded.table, before) else RIGHT)
    legal = not bad and not reading.may and all(line.verdict is Verdict.LEGAL for line in reading.lines)
    return Verdicts(STRICT, loaded.refusal[:300]) if legal else Verdicts(REFUSED)


def _skipping(reading: Reading | Unreadable, loaded: _Loaded, path: Path) -> Verdicts:
    """Rows that are kept must be the legal ones, with doubtful ones or without; what is left out must be counted."""
    if defect := _common(loaded, path):
        return Verdicts(defect.outcome, f"skip_bad: {defect.detail}")
    if isinstance(reading, Unreadable):
        return Verdicts(WRONG, f"skip_bad: loaded, though {reading}") if loaded.refusal is None else Verdicts(REFUSED)
    sure = [line for line in reading.lines if line.verdict is Verdict.LEGAL]
    if loaded.refusal is not None:
        return Verdicts(STRICT, f"skip_bad: {loaded.refusal[:300]}") if sure and not reading.may else Verdicts(REFUSED)
    table = loaded.table
    if not _matched(reading, table):
        return Verdicts(WRONG, f"skip_bad: {len(table)} rows kept, not the {len(sure)} legal ones")
    skipped = table.attrs.get("skipped")
    blanks = sum(line.blank for line in reading.lines)
    if skipped is None or not 0 <= len(reading.lines) - len(table) - sum(skipped.values()) <= blanks:
        return Verdicts(WRONG, f"skip_bad: {len(reading.lines)} rows, {len(table)} kept, counted as skipped: {skipped}")
    return Verdicts(RIGHT)


def _matched(reading: Reading, table: pd.DataFrame) -> bool:
    """Whether the lines that stand in the table are all the legal ones, some doubtful ones, and no bad one."""
    rows = _rows(table)
    shift = None
    at = 0
    for line in reading.lines:
        if line.verdict is Verdict.BAD:
            continue
        if at < len(rows):
            moved = shift
            if moved is None:
                moved = rows[at]["arrival"] - line.values["arrival"] if reading.shifted else 0.0
            if not _differs(line.values, rows[at], moved):
                shift = moved
                at += 1
                continue
        if line.verdict is Verdict.LEGAL:
            return False
    return at == len(rows)


def _described(path: Path, strict: _Loaded) -> Verdicts:
    """`tokenyard trace describe FILE` says one line on standard error, with exit code 1, of a file that is refused; of
    one that loads, its figures are worked out (what it draws of them is not on trial here)."""
    said, errors = io.StringIO(), io.StringIO()
    picture = path.with_name("drawn.png")
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
    ):
        warnings.simplefilter("always")
        try:
            if strict.table is None:
                code = describe.main([os.fspath(path), "--draw", os.fspath(picture)])
            else:
                figures, _ = describe.describe(path, told(path), skip_bad=False)
                said.write(describe.human({}, figures))
        except TraceError:
            return Verdicts(REFUSED)  # the format could not be told
        except Exception as error:
            return Verdicts(CRASHED, f"describe: {_place(error)}")
    lines = errors.getvalue().splitlines()
    if caught:
        return Verdicts(WARNED, f"describe: {caught[0].category.__name__}: {caught[0].message}")
    if strict.refusal is not None and (code != 1 or len(lines) != 1 or said.getvalue()):
        return Verdicts(UNTIDY, f"describe: exit code {code}, {len(lines)} lines on standard error: {lines[:2]}")
    return Verdicts(REFUSED)


def difference(lines: list[Line], table: pd.DataFrame, reading: Reading) -> str:
    """Where `table` is not what the lines say; empty where it is."""
    rows = _rows(table)
    if len(rows) != len(lines):
        return f"{len(rows)} rows, not {len(lines)}"
    wanted = [line.values for line in lines]
    shift = rows[0]["arrival"] - wanted[0]["arrival"] if reading.shifted else 0.0
    found = ((at, _differs(want, row, shift)) for at, (want, row) in enumerate(zip(wanted, rows, strict=True)))
    return next((f"row {at + 1}: {what}" for at, what in found if what), "")


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]


def _differs(wanted: dict[str, Any], row: dict[str, Any], shift: float) -> str:
    if set(wanted) != set(row):
        return f"columns {sorted(set(wanted) ^ set(row))}"
    for name, want in wanted.items():
        moved = want + shift if name == "arrival" else want
        if not _equal(moved, row[name]):
            return f"{name} is {row[name]!r:.60}, the file says {moved!r:.60}"
    return ""


def _equal(want: Any, found: Any) -> bool:
    if want is ANY:
        return True
    if want is None:
        return found is None or (isinstance(found, float) and found != found)
    if isinstance(want, str):
        return isinstance(found, str) and want == found
    if isinstance(want, list | tuple):
        return hasattr(found, "__len__") and len(want) == len(found) and all(map(_equal, want, found))
    return not isinstance(found, str) and hasattr(found, "__float__") and abs(want - found) <= 1e-6 + 1e-9 * abs(want)
