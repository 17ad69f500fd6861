"""Read measured kernel times from csv files, in the format of LLMServingSim's profiler: microseconds on a grid.

Three tables: attention by (prefill_chunk, kv_prefill, n_decode, kv_decode), dense layers by tokens, and what is done
once a sequence by sequences. Other devices' and models' files in that format are read the same way.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

# The order in which a Grid nests them: at each chunk and number of jobs the contexts have a grid of their own.
ATTENTION = ("prefill_chunk", "n_decode", "kv_prefill", "kv_decode")
MICROSECOND = 1e-6

Row = tuple[tuple[float, ...], float]  # where, and seconds


class UnmeasuredError(ValueError):
    """A place beyond what was measured; `name` is the coordinate that is too large."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Grid:
    """Seconds at `knots` of one coordinate; each part is a number, or a Grid over the next coordinate.

    Between knots it is linear, below the first it is as at the first. Along an axis of one knot nothing was measured
    to vary: it answers everywhere. Beyond the last of several knots it raises UnmeasuredError.
    """

    name: str
    knots: tuple[float, ...]
    parts: tuple[Grid | float, ...]

    def at(self, *coordinates: float) -> float:
        """Seconds there."""
        seconds = 0.0
        for part, share in self.around(coordinates[0]):
            seconds += share * (part.at(*coordinates[1:]) if isinstance(part, Grid) else part)
        return seconds

    def around(self, value: float) -> tuple[tuple[Grid | float, float], ...]:
        """The parts on either side of `value`, and the share of each; UnmeasuredError beyond the last knot."""
        knots, parts = self.knots, self.parts
        if value <= knots[0] or len(knots) == 1:
            return ((parts[0], 1.0),)
        if value > knots[-1]:
            raise UnmeasuredError(self.name, f"{self.name} is {value:g}, and was measured up to {knots[-1]:g}")
        right = bisect_left(knots, value)
        share = (value - knots[right - 1]) / (knots[right] - knots[right - 1])
        if share == 1.0:
            return ((parts[right], 1.0),)
        return ((parts[right - 1], 1.0 - share), (parts[right], share))

    def plus(self, more: Callable[[float], float]) -> Grid:
        """A Grid of one coordinate with `more` added at each knot."""
        return Grid(self.name, self.knots, tuple(self.at(knot) + more(knot) for knot in self.knots))

    def last_knots(self) -> set[float]:
        """The knots of the last coordinate, wherever they stand."""
        found = [part.last_knots() for part in self.parts if isinstance(part, Grid)]
        return set().union(*found) if found else set(self.knots)


def nest(rows: Sequence[Row], names: Sequence[str]) -> Grid:
    """A Grid of sorted `rows`, one level for each of `names`."""
    if len(names) == 1:
        return Grid(names[0], tuple(where[0] for where, _ in rows), tuple(seconds for _, seconds in rows))
    knots, parts = [], []
    for value, group in groupby(rows, key=lambda row: row[0][0]):
        knots.append(value)
        parts.append(nest([(where[1:], seconds) for where, seconds in group], names[1:]))
    return Grid(names[0], tuple(knots), tuple(parts))


def rising(grid: Grid) -> Grid:
    """`grid`, but where it falls along the last coordinate, what stood before the fall stays."""
    below = [rising(part) for part in grid.parts if isinstance(part, Grid)]
    highest = list(accumulate((part for part in grid.parts if not isinstance(part, Grid)), max))
    return Grid(grid.name, grid.knots, tuple(below or highest))


def read_attention(path: Path) -> Grid:
    """Seconds of one layer's attention; ValueError names file, line and value.

    It never falls with the decoding jobs' context: where a measurement says so, nearly always by less than 1 %, that is
    noise.
    """
    return rising(nest(sorted(read_rows(path, "", ATTENTION)[""]), ATTENTION))


def read_layers(path: Path, coordinate: str, needed: Sequence[str], others: Sequence[str] = ()) -> dict[str, Grid]:
    """Seconds of each layer by `coordinate` (tokens or sequences); ValueError names file, line and value.

    All `needed` layers are there, and none but these and `others`: one more would be added to the step unasked.
    """
    found = read_rows(path, "layer", (coordinate,), known=(*needed, *others))
    layers = {name: nest(sorted(rows), [coordinate]) for name, rows in found.items()}
    missing = [name for name in needed if name not in layers]
    if missing:
        raise ValueError(f"{path}: no row of layer {', '.join(missing)}; it has {', '.join(layers)}")
    return layers


def total(layers: Mapping[str, Grid], times: Mapping[str, int], otherwise: int) -> Grid:
    """The sum of `layers`, each so many `times` (those not named: `otherwise`), up to where all were measured."""
    last = min(grid.knots[-1] for grid in layers.values())
    knots = sorted({knot for grid in layers.values() for knot in grid.knots if knot <= last})
    sums = [sum(times.get(layer, otherwise) * grid.at(knot) for layer, grid in layers.items()) for knot in knots]
    return Grid(next(iter(layers.values())).name, tuple(knots), tuple(sums))


def read_rows(
    path: Path, text: str, counts: Sequence[str], time: str = "time_us", known: Sequence[str] = ()
) -> dict[str, list[Row]]:
    """The rows of a csv file, plain or gzipped, by what stands in the column `text` (all under "" if that is empty).

    A row is its `counts` and its `time`, in seconds; ValueError names file, line and value, also of a `text` that is
    not `known`.
    """
    lines = csv.reader(_lines(path))
    header = next(lines, [])
    needed = [*([text] if text else []), *counts, time]
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(f"{path}, line 1: no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
    found: dict[str, list[Row]] = {}
    seen: dict[tuple[str, tuple[float, ...]], int] = {}
    for cells in lines:
        place = f"{path}, line {lines.line_num}"
        if len(cells) != len(header):
            raise ValueError(f"{place}: {','.join(cells)[:60]!r} has {len(cells)} fields, not {len(header)}")
        row = dict(zip(header, cells, strict=True))
        where = tuple(_number(place, name, row[name]) for name in counts)
        seconds = _number(place, time, row[time]) * MICROSECOND
        key = (row[text] if text else "", where)
        if text and key[0] not in known:
            raise ValueError(f"{place}: unknown {text} {key[0]!r}; known are {', '.join(known)}")
        if key in seen:
            raise ValueError(f"{place}: the same place as in line {seen[key]}: {','.join(cells)[:60]}")
        seen[key] = lines.line_num
        found.setdefault(key[0], []).append((where, seconds))
    if not found:
        raise ValueError(f"{path}: no rows")
    return found


def _number(place: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{place}: {name} {text!r} is not a number from 0 on")
    return value


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise FileNotFoundError(f"no kernel table {path}: set TOKENYARD_DATA to the folder of the data, or the path")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the file is broken: {error}") from error
