"""The project's own parquet files: tables with a schema version and their provenance in the file's metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
    arrow = pa.Table.from_pandas(bare, preserve_index=False)
    stamps = {_VERSION: VERSION.encode(), _KIND: kind.encode(), _PROVENANCE: json.dumps(dict(provenance)).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(arrow.replace_schema_metadata(stamps), temporary, compression="zstd")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """Read a table of `kind`, unchecked; TraceError for a file that is no parquet or has another version or kind."""
    try:
        arrow = pq.read_table(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: cannot be read as parquet: {error}") from error
    stamps = arrow.schema.metadata or {}
    for key, name, wanted in ((_VERSION, "schema version", VERSION), (_KIND, "kind", kind)):
        found = stamps[key].decode() if key in stamps else None
        if found != wanted:
            raise TraceError(f"{path}: {name} is {found!r}, this reads {wanted!r}")
    table = arrow.to_pandas()
    table.attrs["provenance"] = json.loads(stamps[_PROVENANCE])
    return table
