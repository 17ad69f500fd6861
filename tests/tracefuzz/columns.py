"""Named ways to spoil a made parquet file: its cells, columns and metadata, and the bytes as they are stored."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from random import Random
from types import UnionType
from typing import Any

import pyarrow as pa

from tests.tracefuzz import streams
from tests.tracefuzz.sheet import Columns, Inapplicable


def _column(file: Columns, rng: Random, kind: type | UnionType) -> int:
    """Where a column is that begins with, or for lists holds, a cell of `kind`."""
    found = [
        at
        for at, (_, cells, _) in enumerate(file.columns)
        if any(isinstance(one, kind) and one is not True for one in (cells if kind is list else cells[:1]))
    ]
    if not found:
        raise Inapplicable
    return rng.choice(found)


def _one(change: Callable[[Random, Any], Any]) -> Callable[[Columns, Random], None]:
    """A mutation of one cell of a column of numbers."""

    def mutate(file: Columns, rng: Random) -> None:
        at = _column(file, rng, int | float)
        cells = list(file.columns[at][1])
        row = rng.randrange(len(cells))
        cells[row] = change(rng, cells[row])
        file.change(at, cells)

    return mutate


def _pick(*values: Any) -> Callable[[Random, Any], Any]:
    return lambda rng, old: rng.choice(values)


def null(file: Columns, rng: Random) -> None:
    """One cell, or all of a column."""
    at = rng.randrange(len(file.columns))
    cells, kind = list(file.columns[at][1]), pa.array(file.columns[at][1]).type
    if rng.random() < 0.2:
        file.change(at, [None] * len(cells), rng.choice((kind, pa.null())))
    else:
        cells[rng.randrange(len(cells))] = None
        file.change(at, cells, kind)


def boolean(file: Columns, rng: Random) -> None:
    at = rng.randrange(len(file.columns))
    file.change(at, [rng.random() < 0.5 for _ in range(file.rows)])


def text_for_number(file: Columns, rng: Random) -> None:
    at = _column(file, rng, int | float)
    cells = [str(one) for one in file.columns[at][1]]
    if rng.random() < 0.7:
        cells[rng.randrange(len(cells))] = rng.choice(("abc", "", "nan", "1e400", "0x1f", "True", " 7", "1_000"))
    file.change(at, cells)


def number_for_text(file: Columns, rng: Random) -> None:
    file.change(_column(file, rng, str), list(range(file.rows)))


def other_type(file: Columns, rng: Random) -> None:
    """The same numbers in another arrow type, where they fit: narrow, wide, decimal, a dictionary, a time, bytes."""
    at = _column(file, rng, int | float)
    whole = [int(one) if one is not None and math.isfinite(one) else None for one in file.columns[at][1]]
    kind = rng.choice((
        pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(),
        pa.float64(), pa.decimal128(20, 3), pa.timestamp("ns"), pa.timestamp("s"), pa.timestamp("us", "Europe/Paris"),
        pa.timestamp("us", "Not/There"), pa.duration("s"), pa.date32(), pa.time64("us"),
    ))  # fmt: skip
    pa.array(whole, kind)  # raises where they do not fit
    file.change(at, whole, kind)


def dictionary_encoded(file: Columns, rng: Random) -> None:
    at = rng.randrange(len(file.columns))
    cells = file.columns[at][1]
    kind = pa.array(cells).dictionary_encode().type
    pa.array(cells, kind)  # raises where they do not fit
    file.change(at, cells, kind)


def wrong_nesting(file: Columns, rng: Random) -> None:
    """A list or a struct where a plain cell should be."""
    at = rng.randrange(len(file.columns))
    cells = file.columns[at][1]
    nested = rng.choice(
        (lambda one: [one], lambda one: {"a": one}, lambda one: [[one]], lambda one: [], lambda one: [None])
    )
    file.change(at, [nested(one) for one in cells])


def other_list(file: Columns, rng: Random) -> None:
    """A list that is too short or too long, or holds what it must not."""
    at = _column(file, rng, list)
    cells = list(file.columns[at][1])
    row = rng.choice([row for row, one in enumerate(cells) if isinstance(one, list)])
    old = cells[row]
    options: list[Any] = [old[:-1], old + old[-1:], [], None, [None], [None, *old[1:]], old[::-1], [*old, None]]
    if all(isinstance(one, int) for one in old):
        options += [[-1, *old[1:]], [2**62, *old[1:]], [one + 0.5 for one in old], [str(one) for one in old]]
    elif old and isinstance(old[0], list):
        options += [[[-1, *old[0][1:]], *old[1:]], [old[0][:-1], *old[1:]], [[math.nan, *old[0][1:]], *old[1:]]]
    cells[row] = rng.choice(options)
    file.change(at, cells)


def rows_out_of_order(file: Columns, rng: Random) -> None:
    order = list(range(file.rows))
    if rng.random() < 0.5:
        rng.shuffle(order)
    else:
        one, other = rng.randrange(file.rows), rng.randrange(file.rows)
        order[one], order[other] = other, one
    _take(file, order)


def rows_duplicated(file: Columns, rng: Random) -> None:
    at = rng.randrange(file.rows)
    order = list(range(file.rows))
    order.insert(rng.choice((at, file.rows)), at)
    _take(file, order)


def rows_deleted(file: Columns, rng: Random) -> None:
    at = rng.randrange(file.rows)
    _take(file, [row for row in range(file.rows) if not at <= row < at + rng.choice((1, 1, file.rows))])


def ids_duplicated(file: Columns, rng: Random) -> None:
    """One cell of a row is copied into another row."""
    at = rng.randrange(len(file.columns))
    cells = list(file.columns[at][1])
    cells[rng.randrange(len(cells))] = rng.choice(cells)
    file.change(at, cells, file.columns[at][2])


def _take(file: Columns, order: list[int]) -> None:
    if not order:
        file.columns = [(name, cells[:0], kind or pa.array(cells).type) for name, cells, kind in file.columns]
    else:
        file.columns = [(name, [cells[row] for row in order], kind) for name, cells, kind in file.columns]


def columns_swapped(file: Columns, rng: Random) -> None:
    """With their names, which changes nothing, or without."""
    one, other = rng.sample(range(len(file.columns)), 2)
    first, second = file.columns[one], file.columns[other]
    if rng.random() < 0.5:
        file.columns[one], file.columns[other] = second, first
    else:
        file.columns[one], file.columns[other] = (first[0], *second[1:]), (second[0], *first[1:])


def column_renamed(file: Columns, rng: Random) -> None:
    at = rng.randrange(len(file.columns))
    name = file.columns[at][0]
    file.columns[at] = (rng.choice((name.upper(), name + " ", "x", "", name + "s", "x\ny")), *file.columns[at][1:])


def column_missing(file: Columns, rng: Random) -> None:
    del file.columns[rng.randrange(len(file.columns))]


def column_added(file: Columns, rng: Random) -> None:
    file.columns.insert(
        rng.randrange(len(file.columns) + 1), (rng.choice(("extra", "x" * 5000)), [1] * file.rows, None)
    )


def column_repeated(file: Columns, rng: Random) -> None:
    file.columns.insert(rng.randrange(len(file.columns) + 1), rng.choice(file.columns))


def metadata_changed(file: Columns, rng: Random) -> None:
    """The schema version, the kind or the provenance: another one, none, or no text."""
    if not file.metadata:
        raise Inapplicable
    key = rng.choice(list(file.metadata))
    odd = (b"2", b"", b"\xff", b"{", b"[]", b"null", b'{"a": NaN}', b"[" * 20_000, b"1.0", b"trace ", b"recording")
    if rng.random() < 0.3:
        del file.metadata[key]
    else:
        file.metadata[key] = rng.choice(odd)


def provenance_field_changed(file: Columns, rng: Random) -> None:
    key = next((key for key in file.metadata if b"provenance" in key), None)
    said = json.loads(file.metadata[key]) if key else {}
    if not isinstance(said, dict) or not said:
        raise Inapplicable
    name = rng.choice(list(said))
    if rng.random() < 0.3:
        del said[name]
    else:
        said[name] = rng.choice((None, -1, 0, 1e300, "many", [], {}, True, math.nan, 10**400))
    file.metadata[key] = json.dumps(said).encode()


def pandas_metadata(file: Columns, rng: Random) -> None:
    """What pandas notes of its own index and dtypes, here made up."""
    file.metadata[b"pandas"] = rng.choice((
        b"{", b"[]", b"{}", b"\xff", b'{"index_columns": ["arrival"], "columns": [], "column_indexes": []}',
        b'{"index_columns": [{"kind": "range", "name": null, "start": 5, "stop": 1, "step": 0}], "columns": []}',
        b'{"index_columns": ["prompt_tokens"], "columns": [{"name": "prompt_tokens", "field_name": "prompt_tokens", '
        b'"pandas_type": "datetime", "numpy_type": "bool", "metadata": null}], "column_indexes": []}',
    ))  # fmt: skip


def stored_otherwise(file: Columns, rng: Random) -> None:
    """Another compression, row groups, page version, encoding: as good as before."""
    file.stored = rng.choice((
        {"compression": "none"}, {"compression": "snappy"}, {"compression": "gzip"}, {"compression": "brotli"},
        {"row_group_size": 3}, {"use_dictionary": False}, {"version": "1.0"}, {"data_page_version": "2.0"},
        {"store_schema": False}, {"write_statistics": False}, {"data_page_size": 64},
        {"write_page_checksum": True}, {"use_dictionary": False, "compression": "none"},
    ))  # fmt: skip


def text_not_utf8(file: Columns, rng: Random) -> None:
    _column(file, rng, str)
    file.broken_text = True


COLUMNS: dict[str, Callable[[Columns, Random], None]] = {
    "nan": _one(_pick(math.nan)),
    "inf": _one(_pick(math.inf)),
    "minus_inf": _one(_pick(-math.inf)),
    "negative": _one(lambda rng, old: -old if old else -1),
    "zero": _one(_pick(0, 0.0, -0.0)),
    "huge": _one(_pick(1e300, 2**62, 2**63, 10**30, 1e-320, 10_000_001)),
    "float_for_int": _one(lambda rng, old: (old or 0) + rng.choice((0.5, 0.0, 1e-9))),
    "bool": boolean,
    **{function.__name__: function for function in (
        null, text_for_number, number_for_text, other_type, dictionary_encoded, wrong_nesting, other_list,
        rows_out_of_order, rows_duplicated, rows_deleted, ids_duplicated, columns_swapped, column_renamed,
        column_missing, column_added, column_repeated, metadata_changed, provenance_field_changed, pandas_metadata,
        stored_otherwise, text_not_utf8,
    )},
}  # fmt: skip


def footer_flipped(content: bytes, rng: Random) -> bytes:
    size = int.from_bytes(content[-8:-4], "little") + 8
    return content[:-size] + streams.bytes_flipped(content[-size:], rng)


def page_flipped(content: bytes, rng: Random) -> bytes:
    size = int.from_bytes(content[-8:-4], "little") + 8
    return streams.bytes_flipped(content[:-size], rng) + content[-size:]


def no_parquet(content: bytes, rng: Random) -> bytes:
    return rng.choice((b"arrival,prompt_tokens,output_tokens\n0,1,1\n", b"PAR1PAR1", b"PAR1" + b"\0" * 8 + b"PAR1"))


def zipped(content: bytes, rng: Random) -> bytes:
    return gzip.compress(content, mtime=0)


STORED: dict[str, Callable[[bytes, Random], bytes]] = {
    **{function.__name__: function for function in (footer_flipped, page_flipped, no_parquet, zipped)},
    **{name: streams.BYTES[name] for name in (
        "truncated", "bytes_flipped", "bytes_inserted", "bytes_removed", "byte_order_mark", "nul_bytes", "empty",
    )},
}  # fmt: skip
