"""A made trace file in parts that mutations can reach: rows of raw cells, or columns of values."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = list[tuple[str, str]]  # (column or key, the cell as the file has it)


class Inapplicable(Exception):  # noqa: N818
    """A mutation has nothing to spoil in this file."""


@dataclass
class Sheet:
    """Rows of raw cells: under a header (csv), or, where that is None, as json objects between two brackets or none."""

    rows: list[Row]
    header: list[str] | None = None
    opening: str = ""
    joint: str = ""
    closing: str = ""

    def lines(self) -> list[str]:
        """The file's lines, without their ends."""
        if self.header is not None:
            return [",".join(self.header), *(",".join(raw for _, raw in row) for row in self.rows)]
        objects = ["{" + ", ".join(f"{json.dumps(name)}: {raw}" for name, raw in row) + "}" for row in self.rows]
        lines = [text + self.joint for text in objects[:-1]] + objects[-1:]
        return [line for line in (self.opening, *lines, self.closing) if line]

    def content(self) -> bytes:
        """The file's bytes, not compressed."""
        return ("\n".join(self.lines()) + "\n").encode()


def row_count(rng: Random) -> int:
    """How many rows to make: often few, for the first and the last are special."""
    return rng.choice((1, 2, 5, 20, 50))


def json_row(**cells: object) -> Row:
    """A row of a json file."""
    return [(name, json.dumps(cell)) for name, cell in cells.items()]


@dataclass
class Columns:
    """Columns as (name, cells, arrow type or None for the one that fits), the metadata, and how they are stored."""

    columns: list[tuple[str, list[Any], pa.DataType | None]]
    metadata: dict[bytes, bytes]
    stored: dict[str, Any] = field(default_factory=dict)
    broken_text: bool = False

    def content(self) -> bytes:
        """The file's bytes."""
        arrays = [_array(cells, kind) for _, cells, kind in self.columns]
        if self.broken_text:
            arrays = [_not_utf8(array) if pa.types.is_string(array.type) else array for array in arrays]
        table = pa.Table.from_arrays(arrays, names=[name for name, _, _ in self.columns])
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(self.metadata), sink, **{"compression": "zstd", **self.stored})
        return sink.getvalue()

    @property
    def rows(self) -> int:
        return len(self.columns[0][1])

    def change(self, at: int, cells: list[Any], kind: pa.DataType | None = None) -> None:
        self.columns[at] = (self.columns[at][0], cells, kind)


def _array(cells: list[Any], kind: pa.DataType | None) -> pa.Array:
    """The cells in arrow; as text, where they have no type in common."""
    try:
        return pa.array(cells, kind)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return pa.array([None if one is None else str(one) for one in cells])


def _not_utf8(array: pa.Array) -> pa.Array:
    first = b"\xff\xfe" if len(array) else b""
    raw = [first, *(None if one is None else one.encode() for one in array.to_pylist()[1:])]
    return pa.array(raw, pa.binary()).view(pa.string())
