"""When requests arrive: as often as in each minute of a stored trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from traces.locate import public_file
from traces.schema import TraceError
from traces.synthetic.arrivals import Diurnal, Poisson, Process
from traces.synthetic.parameters import check_positive

MINUTE = 60.0  # s


@dataclass(frozen=True)
class MinuteCounts:
    """`process` at a rate in proportion to the requests in each whole minute of a stored trace, over and over.

    `load` reads the file `path`, which `traces.locate.public_file` finds. `compress` of its minutes pass in a minute.
    A trace begins at an instant of them that is drawn; the mean rate holds over all of them.
    """

    path: str
    load: Callable[..., pd.DataFrame] = field(repr=False)
    compress: float = 1.0
    process: Process = field(default_factory=Poisson)

    def __post_init__(self) -> None:
        check_positive(self, "compress")

    @cached_property
    def counts(self) -> np.ndarray:
        """Requests in each whole minute; TraceError for a file of less than two."""
        arrival = self.load(public_file(self.path))["arrival"].to_numpy()
        minutes = int((arrival[-1] - arrival[0]) // MINUTE)
        if minutes < 2:
            raise TraceError(f"{self.path}: two minutes are needed for counts, it has {arrival[-1] - arrival[0]:g} s")
        return np.histogram(arrival - arrival[0], minutes, (0, minutes * MINUTE))[0]

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        period = len(self.counts) * MINUTE / self.compress
        start = float(arrivals.uniform(0, period))
        return Diurnal(tuple(self.counts), period, start, self.process).instants(rate, requests, arrivals)
