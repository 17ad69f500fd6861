"""The checksum of a trace's file."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from traces.schema import TraceError

CHUNK = 1 << 18  # bytes


def sha256(path: Path) -> str:
    """The checksum of the file's content, unpacked if it is gzipped, so that a re-packed copy has its publisher's."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: the gzip file is broken: {error}") from error
    return digest.hexdigest()
