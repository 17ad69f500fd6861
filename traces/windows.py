"""Windows of a stored trace: its first part trains predictors, windows of the rest are replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from traces.locate import public_file
from traces.operations import Rows, to_rate
from traces.split import check_share


@dataclass(frozen=True)
class Windows:
    """Windows of the trace in the file `path`, which `load` reads and `origin` describes in a few words.

    The file is found by `traces.locate.public_file`. The first `training_share` of its rows train, the rest is
    replayed: `window` requests in a row from a random start (None: all the rest), re-based to start at 0, and stretched
    in time to a mean of `rate` requests/s (None: as recorded).
    """

    path: str
    load: Callable[[Path], pd.DataFrame]
    origin: str
    rate: float | None = None
    window: int | None = None
    training_share: float = 0.2

    def __post_init__(self) -> None:
        check_share(self.training_share)
        if self.rate is not None and not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window must be at least 2 requests, got {self.window}")

    @property
    def provenance(self) -> str:
        """One line: where the rows come from, and what was done to them."""
        speed = "at its own rate" if self.rate is None else "time-scaled"
        return f"{self.origin} ({Path(self.path).name}), {speed}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """One window; `lengths` is not drawn from, for lengths are as recorded."""
        rest = self._rows.iloc[self._training_rows :]
        window = len(rest) if self.window is None else self.window
        if window > len(rest):
            raise ValueError(f"window is {window} requests, {self.path} has {len(rest)} to replay")
        table = Rows(window)(rest, arrivals)
        return table if self.rate is None else to_rate(table, self.rate)

    def training(self) -> pd.DataFrame:
        """The first `training_share` of the rows, as recorded."""
        return self._rows.iloc[: self._training_rows].reset_index(drop=True)

    @cached_property
    def _rows(self) -> pd.DataFrame:
        return self.load(public_file(self.path))

    @property
    def _training_rows(self) -> int:
        return int(len(self._rows) * self.training_share)
