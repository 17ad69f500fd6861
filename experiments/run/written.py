"""Files that are there whole, or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from socket import gethostname

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.record import Table

PART = 1 << 16  # rows of a results table that are written at a time


def write_whole(path: Path, text: str) -> None:
    """Write `text`."""
    _write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`."""
    _write(path, lambda temporary: temporary.write_bytes(content))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as parquet."""
    _write(path, lambda temporary: table.to_parquet(temporary, index=False))


def write_columns(path: Path, table: Table) -> None:
    """Write `table` as parquet; a long one part by part, so that it is not there twice."""

    def part(start: int) -> pa.Table:
        columns = {name: column[start : start + PART] for name, column in table.items()}
        return pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)

    def write(temporary: Path) -> None:
        [rows, *_] = (len(column) for _, column in table.items())
        texts = [name for name, column in table.items() if column.dtype.kind not in "biuf"]  # numbers seldom repeat
        with pq.ParquetWriter(temporary, part(0).schema, use_dictionary=texts) as writer:
            for start in range(0, max(1, rows), PART):
                writer.write_table(part(start))

    _write(path, write)


def _write(path: Path, writer: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.{gethostname()}.{os.getpid()}")
    try:
        writer(temporary)
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or ' '.join(str(error).split())}") from error
    finally:
        temporary.unlink(missing_ok=True)
