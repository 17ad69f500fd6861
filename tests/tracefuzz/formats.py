"""What the fuzzer knows of a format: how to make a good file, and what a file of any bytes says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pandas as pd

from tests.tracefuzz.reading import Reading
from tests.tracefuzz.sheet import Columns, Sheet


@dataclass(frozen=True)
class Format:
    """One public format and the loader on trial.

    `make` draws a good file; `read` says, from (bytes, name), what the file says, or raises Unreadable. `load` is
    called with (path), and with skip_bad=True where `skips`.
    """

    name: str
    suffixes: tuple[str, ...]
    make: Callable[[Random], Sheet | Columns]
    read: Callable[[bytes, str], Reading]
    load: Callable[..., pd.DataFrame]
    skips: bool = True
    described: bool = True  # `traces.describe` reads such a file by its path
