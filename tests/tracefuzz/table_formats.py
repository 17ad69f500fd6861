"""Others' parquet files: CASTILLO's prompts and lengths (here in one file), and ServeGen's windows of clients."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pandas as pd

from tests.tracefuzz.formats import Format
from tests.tracefuzz.parquet_formats import number, rows_of, stored_columns
from tests.tracefuzz.reading import LONGEST, Line, Reading, Verdict, count
from tests.tracefuzz.sheet import Columns, row_count
from traces.formats import castillo, servegen

CASTILLO = ("dataset", "prompt_id", "prompt_text", "model", "input_tokens", "output_tokens")
CLIP = 2000  # tokens, of castillo.read
RATES = ("model", "client", "t", "rate", "cv", "pattern", "p1", "p2")
SHAPES = {"Gamma": 0.005, "Weibull": 0.1}  # the smallest that is read
LEVELS = ("q01", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "q99", "q999")
QUANTILES = ("model", "client", "t", "field", "mean", *LEVELS)
MOST = {"input_tokens": LONGEST, "output_tokens": LONGEST, "reason_ratio": 1}


def table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Columns:
    cells = zip(*rows, strict=True)
    return Columns([(name, list(column), None) for name, column in zip(names, cells, strict=True)], {}, CHECKED)


CHECKED = {"write_page_checksum": True}


def make_castillo(rng: Random) -> Columns:
    rows = []
    for at in range(row_count(rng)):
        samples = [rng.randint(1, 3000) for _ in range(rng.randint(1, 10))]
        rows.append((rng.choice(("A", "B")), f"p{at}", f"why {at}?", "m/7B", rng.randint(1, 900), samples))
    return table(CASTILLO, rows)


def read_castillo(content: bytes, name: str) -> Reading:
    cells, _, may = stored_columns(content, CASTILLO)
    lines, seen = [], set()
    for row in rows_of(cells, CASTILLO, CASTILLO):
        line = Line()
        for column in CASTILLO[:4]:
            _text(line, column, row[column])
        line.values["input_tokens"] = _tokens(line, "input_tokens", row["input_tokens"])
        samples = row["output_tokens"]
        if not isinstance(samples, list) or not samples:
            line.worse(Verdict.BAD, "output_tokens is no such list")
            samples = []
        found = [_tokens(line, "output_tokens", one) for one in samples]
        line.values["samples"] = [None if one is None else min(one, CLIP) for one in found]
        _once(line, seen, (row["dataset"], row["prompt_id"]))
        lines.append(line)
    return Reading(lines, may=may)


def _text(line: Line, column: str, cell: Any) -> None:
    line.values[column] = cell
    if not isinstance(cell, str) or not cell.strip():
        line.worse(Verdict.BAD, f"{column} is no text")


def _tokens(line: Line, column: str, cell: Any) -> float | None:
    if isinstance(cell, float):
        line.worse(Verdict.MAY, f"{column} has a point")
    return count(line, column, number(line, column, cell))


def _once(line: Line, seen: set[tuple[float | str, ...]], key: tuple[Any, ...]) -> None:
    same = tuple(float(one) if isinstance(one, int | float) else str(one) for one in key)
    if same in seen:
        line.worse(Verdict.BAD, f"{key} was there before")
    seen.add(same)


def make_rates(rng: Random) -> Columns:
    rows = []
    for at in range(row_count(rng)):
        rate, cv, scale = (rng.uniform(0.1, 9) for _ in range(3))
        rows.append(("m", at % 7, 600.0 * (at // 7), rate, cv, rng.choice(list(SHAPES)), rng.uniform(0.2, 2), scale))
    return table(RATES, rows)


def read_rates(content: bytes, name: str) -> Reading:
    def check(line: Line, at: dict[str, Any]) -> None:
        if at["t"] % 600 or 0 in (at["rate"], at["p2"]) or at["pattern"] not in SHAPES:
            line.worse(Verdict.BAD, "t, rate, p2 or pattern")
        elif at["p1"] < SHAPES[at["pattern"]]:
            line.worse(Verdict.BAD, "shape")

    return _windows(content, RATES, ("model", "pattern"), 3, check)


def make_quantiles(rng: Random) -> Columns:
    rows = []
    for at in range(row_count(rng)):
        field = rng.choice(list(MOST))
        levels = sorted(rng.random() * (1 if field == "reason_ratio" else 5000) for _ in LEVELS)
        rows.append(("m", at % 7, 21600.0 * (at // 7), field, levels[4], *levels))
    return table(QUANTILES, rows)


def read_quantiles(content: bytes, name: str) -> Reading:
    def check(line: Line, at: dict[str, Any]) -> None:
        levels = [at[level] for level in LEVELS]
        if at["field"] not in MOST or max(levels) > MOST[at["field"]] or levels != sorted(levels):
            line.worse(Verdict.BAD, "field or its quantiles")

    return _windows(content, QUANTILES, ("model", "field"), 4, check)


def _windows(content: bytes, columns: tuple[str, ...], texts: tuple[str, ...], key: int, check: Any) -> Reading:
    """The rows, of which no two share the first `key` columns: texts, a client, and numbers from 0."""
    cells, _, may = stored_columns(content)
    lines, seen = [], set()
    for row in rows_of(cells, columns, columns):
        line = Line()
        for column, cell in row.items():
            if column in texts:
                line.values[column] = cell
                if not isinstance(cell, str):
                    line.worse(Verdict.BAD, f"{column} is no text")
                continue
            value = line.values[column] = number(line, column, cell)
            if value is not None and (value < 0 or (column == "client" and (value % 1 or value >= 2**63))):
                line.worse(Verdict.BAD, f"{column} is negative, or no client")
        if line.verdict is not Verdict.BAD:
            check(line, line.values)
        _once(line, seen, tuple(line.values[column] for column in columns[:key]))
        lines.append(line)
    return Reading(lines, may=may)


def load_castillo(path: Path) -> pd.DataFrame:
    return castillo.read(path, path)


FORMATS = tuple(
    Format(name, (".parquet",), make, read, load, skips=False, described=False)
    for name, make, read, load in (
        ("castillo", make_castillo, read_castillo, load_castillo),
        ("servegen_rates", make_rates, read_rates, servegen.read_rates),
        ("servegen_quantiles", make_quantiles, read_quantiles, servegen.read_quantiles),
    )
)
