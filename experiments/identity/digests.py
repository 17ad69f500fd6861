"""Hashes of what a run reads, over every value: a table, a profile, a file."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def digest_of(value: Any) -> str:
    """The sha256 of a value and of all that is in it; TypeError for an object that does not say what it holds."""
    sha = hashlib.sha256()
    _add(sha, value)
    return sha.hexdigest()


def digest_of_file(path: Path) -> str:
    """The sha256 of a file's bytes."""
    found = path.stat()
    return _digest_of_bytes(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=4096)  # a plug-in may have 2,000
def _digest_of_bytes(path: str, *state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(sha: Any, value: Any) -> None:
    """Add `value` to a hash, with its kind and its length, so that no two values are spelled alike."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str | bytes):
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        sha.update(f"{type(value).__name__}{len(text)}:".encode() + text)
    elif isinstance(value, float):
        sha.update(b"float" + struct.pack("<d", value))
    elif isinstance(value, pd.DataFrame):
        _begin(sha, "table", len(value.columns))
        for name in value.columns:
            _add(sha, str(name))
            _add(sha, value[name].to_numpy())
        _add(sha, value.attrs)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufcMm":
        _begin(sha, f"array {value.dtype.str} {value.shape}", value.nbytes)
        sha.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list | tuple) and len(value) > 8 and all(type(item) is int for item in value):
        numbers = np.asarray(value)  # of objects where one has more than 64 bits
        _add(sha, numbers if numbers.dtype.kind == "i" else [str(item) for item in value])
    elif isinstance(value, np.ndarray | list | tuple):
        _begin(sha, "sequence", len(value))
        for item in value.tolist() if isinstance(value, np.ndarray) else value:
            _add(sha, item)
    elif isinstance(value, Mapping):
        _begin(sha, "mapping", len(value))
        for key, item in value.items():
            _add(sha, key)
            _add(sha, item)
    elif is_dataclass(value):
        _add(sha, f"{type(value).__module__}.{type(value).__qualname__}")
        _add(sha, {field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, Enum):
        _add(sha, f"{type(value).__module__}.{type(value).__qualname__}.{value.name}")
    elif isinstance(value, set | frozenset):
        _add(sha, sorted(value, key=repr))
    elif hasattr(value, "isoformat") or value is pd.NA:  # dates, and what pandas has for them
        _add(sha, repr(value))
    elif hasattr(value, "__dict__") and not callable(value):
        _add(sha, f"{type(value).__module__}.{type(value).__qualname__}")
        _add(sha, vars(value))
    else:
        raise TypeError(f"a {type(value).__name__} does not say what it holds: {value!r:.80}")


def _begin(sha: Any, kind: str, length: int) -> None:
    sha.update(f"{kind} of {length}:".encode())
