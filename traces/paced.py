"""Any trace at another rate: its requests closer together, or fewer of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from traces.operations import Thin, ThinSessions, to_rate

WAYS = ("time", "thinning")


@dataclass(frozen=True)
class Paced:
    """The trace `of` at a mean of `rate` requests/s, `by` time or thinning.

    By time all gaps are stretched alike: the same requests, whose bursts last shorter as they come faster. By thinning
    each request is kept with one probability, and gaps stay as they were recorded; where there are sessions, each is
    kept or goes as a whole. What a seed keeps at one rate it keeps at every higher one. ValueError where a trace is
    slower than the rate that it is to be thinned to, or where it has no rate.
    """

    of: Any
    rate: float
    by: str = "time"

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise ValueError(f"a rate is set by {' or '.join(WAYS)}, not by {self.by!r}")

    @property
    def provenance(self) -> str:
        """That of the trace, and what was done to it."""
        done = "time-scaled" if self.by == "time" else "thinned"
        return f"{self.of.provenance}; {done} to {self.rate:g} requests/s"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """The trace as a seed draws it, at the rate."""
        table = self.of.replay(arrivals, lengths)
        if self.by == "time":
            return to_rate(table, self.rate)
        share = self.rate / own_rate(table)
        if share > 1:
            raise ValueError(
                f"a trace of {own_rate(table):.4g} requests/s cannot be thinned to {self.rate:g}: set the rate by time"
            )
        thin = ThinSessions(share) if "session" in table else Thin(share)
        thinned = thin(table, arrivals)
        thinned.attrs = {**table.attrs, **thinned.attrs}
        return thinned

    def training(self) -> pd.DataFrame:
        """That of the trace."""
        rows: pd.DataFrame = self.of.training()
        return rows


def own_rate(table: pd.DataFrame) -> float:
    """Requests/s from the first arrival to the last; ValueError where there is no time between them."""
    arrival = table["arrival"].to_numpy()
    span = float(arrival[-1] - arrival[0])
    if not span > 0:
        raise ValueError(f"{len(table)} requests arrive at one instant: the trace has no rate")
    return (len(table) - 1) / span
