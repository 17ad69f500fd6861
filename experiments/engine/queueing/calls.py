"""Jobs that call out in the midst of their service, and come back to the end of the queue: networks of queues.

Where sizes are exponential and calls come at random along them, the service between two calls is exponential too, and
first come, first served is a station of a Jackson network; calls, of any law, are a station with a server for each. A
shared processor is a station of a BCMP network whatever the laws. So in both the mean time that a job of the mean size
is not in a call is that of a station of the same load: mean size / (1 - load).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.engine.queueing.laws import LAWS, Floats
from sim.request import Pause

Pauses = tuple[Pause, ...]


@dataclass(frozen=True)
class Calls:
    """So many calls a job of the mean size, at random among its tokens; they take `seconds` mean sizes, by `law`."""

    law: str
    number: float = 2.0
    seconds: float = 3.0

    def draw(self, rng: np.random.Generator, sizes: Floats, tokens: int) -> list[Pauses]:
        """Those of jobs of these `sizes` (tokens), where one of the mean size has so many `tokens`, a second each."""
        law = LAWS[self.law]
        drawn = []
        for size in sizes.astype(int).tolist():
            after = np.flatnonzero(rng.random(size - 1) < self.number / tokens) + 1
            seconds = law.draw(rng, len(after)) * (self.seconds * tokens / law.mean)
            drawn.append(tuple(map(Pause, after.tolist(), seconds.tolist())))
        return drawn
