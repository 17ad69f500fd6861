"""Windows of a stored trace: its first part trains predictors, windows of the rest are replayed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.catalogue import CATALOGUE
from traces.locate import public_file
from traces.operations import Rows, to_rate
from traces.resample import check_resample, resampled, said
from traces.split import check_kept, none_kept, training_rows


@dataclass(frozen=True)
class Windows:
    """Windows of the trace in the file `path`, which `load` reads and `origin` describes in a few words.

    The file is found by `traces.locate.public_file`. The first `training_share` of its rows (None: 0) train, the others
    are replayed: up to `window` requests in a row from a random start (None: all of them), re-based to start at 0, and
    stretched in time to a mean of `rate` requests/s (None: as recorded). `resample` "blocks" makes that a moving-block
    bootstrap of the window, of `block` rows each (see `traces.resample.Blocks`); the stretch comes after it.

    `skip_bad` drops and counts bad rows, `unit` is that of the file's stamps (None: the format's own): both are handed
    to `load` where they are given; ValueError for a format that does not take them. `attrs` of a replay: `read` rows in
    the file, `kept` of them for training, and `start`, the first row of the window among the others.
    """

    path: str
    load: Callable[..., pd.DataFrame]
    origin: str
    rate: float | None = None
    window: int | None = None
    training_share: float | None = None
    skip_bad: bool = False
    unit: str | None = None
    resample: str | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_resample(self.resample, self.block)
        if self.rate is not None and not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")
        if self.window is not None and not (isinstance(self.window, int) and self.window >= 1):
            raise ValueError(f"window must be a whole number of requests from 1, got {self.window!r}")
        if not isinstance(self.skip_bad, bool):
            raise ValueError(f"skip_bad must be true or false, got {self.skip_bad!r}")
        taken = inspect.signature(self.load).parameters
        if self.unit is not None and "unit" not in taken:
            raise ValueError(f"this format has no unit to set, got {self.unit!r}")
        if self.skip_bad and "skip_bad" not in taken:
            raise ValueError("this format has no skip_bad to set: what reads it takes none")

    @property
    def provenance(self) -> str:
        """One line: where the rows come from, and what was done to them."""
        speed = "at its own rate" if self.rate is None else "time-scaled"
        unit = f", stamps in {self.unit}" if self.unit else ""
        published = any(Path(entry.file).name == Path(self.path).name for entry in CATALOGUE)
        origin = self.origin if published else self.origin.replace("recorded: ", "recorded: a file read as ", 1)
        return f"{origin} ({Path(self.path).name}{unit}), {speed}{said(self.resample, self.block)}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """One window; `lengths` is not drawn from, for lengths are as recorded."""
        window = self.left if self.window is None else min(self.window, self.left)
        table = Rows(window)(self._rows.iloc[self.kept :], arrivals)
        table = resampled(table, self.resample, self.block, arrivals)
        if self.rate is not None:
            table = to_rate(table, self.rate)
        table.attrs["read"] = len(self._rows) + sum(table.attrs.get("skipped", {}).values())
        table.attrs["kept"] = self.kept
        return table

    @property
    def left(self) -> int:
        """Rows that can be replayed; `traces.schema.TraceError` where there are none."""
        return len(self._rows) - self.kept

    def training(self) -> pd.DataFrame:
        """The first `training_share` of the rows, as recorded; `traces.schema.TraceError` where none are kept."""
        if not self.kept:
            raise none_kept(self.path)
        return self._rows.iloc[: self.kept].reset_index(drop=True)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        options: dict[str, Any] = {"skip_bad": True} if self.skip_bad else {}
        if self.unit is not None:
            options["unit"] = self.unit
        return self.load(public_file(self.path), **options)

    @property
    def kept(self) -> int:
        """Rows that train."""
        return training_rows(len(self._rows), self.training_share, self.path)
