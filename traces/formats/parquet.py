"""The project's own parquet files: tables with a schema version and their provenance in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traces.files import parse_json
from traces.schema import TraceError, check

VERSION = "1"
_VERSION, _KIND, _PROVENANCE = b"tokenyard.schema_version", b"tokenyard.kind", b"tokenyard.provenance"


def write(table: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any]) -> None:
    """Write a trace, with the columns of `traces.schema` (arrival in s, prompt_tokens, output_tokens, ...) and a few
    words on where it comes from; TraceError if it is not one."""
    write_table(check(table, str(path)), Path(path), "trace", provenance)


def read(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """Read and check a trace; its provenance is in `attrs["provenance"]`."""
    return check(read_table(path, "trace"), str(path), skip_bad=skip_bad)


def write_table(table: pd.DataFrame, path: Path, kind: str, provenance: Mapping[str, Any]) -> None:
    """Write a table of `kind` under a temporary name, then rename, so that no half-written file bears `path`."""
    bare = table.copy(deep=False)
    bare.attrs = {}
    arrow = pa.Table.from_pandas(bare.drop(columns="prompt_ids", errors="ignore"), preserve_index=False)
    if "prompt_ids" in bare:
        arrow = arrow.append_column("prompt_ids", _ids(bare["prompt_ids"].tolist()))
    stamps = {_VERSION: VERSION.encode(), _KIND: kind.encode(), _PROVENANCE: json.dumps(dict(provenance)).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(arrow.replace_schema_metadata(stamps), temporary, compression="zstd", write_page_checksum=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _ids(prompts: list[list[int]]) -> pa.Array:
    """The ids in the first type that holds them all: int64, uint64 (hashes), or decimals where both would be needed."""
    least, most = (pick(chain.from_iterable(prompts), default=0) for pick in (min, max))
    whole = pa.int64() if most < 1 << 63 else pa.uint64() if least >= 0 else None
    if whole is not None:
        return pa.array(prompts, pa.list_(whole))
    return pa.array([[Decimal(one) for one in ids] for ids in prompts], pa.list_(pa.decimal128(20)))


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of `kind`, its cells unchecked, with its provenance in `attrs`.

    TraceError for a file that is no parquet, was damaged, or has another version or kind or no provenance.
    """
    table, stamps = read_columns(path)
    for key, name, wanted in ((_VERSION, "schema version", VERSION), (_KIND, "kind", kind)):
        found = _text(stamps, key)
        if found != wanted:
            raise TraceError(f"{path}: {name} is {found!r}, this reads {wanted!r}")
    provenance = parse_json(f"{path}: provenance", _text(stamps, _PROVENANCE) or "")
    if not isinstance(provenance, dict):
        raise TraceError(f"{path}: provenance is not an object")
    table.attrs["provenance"] = provenance
    return table


def read_columns(path: Path, *names: str) -> tuple[pd.DataFrame, dict[bytes, bytes]]:
    """The cells, unchecked, of those columns `names` (all, where none is named) that a parquet file has, and its
    metadata, of which pandas' own is not heeded.

    TraceError for a file that is no parquet, holds text that is not UTF-8, or was damaged as far as checksums tell.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            arrow = file.read([name for name in names if name in file.schema_arrow.names] if names else None)
        arrow.validate(full=True)
        plain = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in arrow.schema.types]
        arrow = arrow.cast(pa.schema(zip(arrow.column_names, plain, strict=True), arrow.schema.metadata))
        table = arrow.replace_schema_metadata().to_pandas()
        for at, cells in enumerate(arrow.columns):
            if not pa.types.is_list(cells.type):
                continue
            if pa.types.is_decimal(cells.type.value_type) and cells.type.value_type.scale == 0:
                table.isetitem(
                    at, [ids and [None if one is None else int(one) for one in ids] for ids in cells.to_pylist()]
                )
            elif pc.list_flatten(cells).null_count:  # pandas makes them all of floats
                table.isetitem(at, cells.to_pylist())
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read as parquet: {error}") from error
    return table, arrow.schema.metadata or {}


def _text(stamps: Mapping[bytes, bytes], key: bytes) -> str | None:
    return stamps[key].decode(errors="backslashreplace") if key in stamps else None
