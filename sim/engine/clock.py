"""An event at an absolute instant."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush

import simpy
from simpy.events import NORMAL, EventPriority

LATE = EventPriority(2)  # SimPy's own priorities are URGENT = 0 and NORMAL = 1


class At(simpy.Event):
    """Fires at `instant` (s), and calls `callback` then; with the priority LATE after all arrivals of that instant.

    SimPy schedules by delays, and now + (instant - now) is not always the instant: a leap and the steps that it stands
    for would end at times that differ in the last bit. So the event goes into SimPy's queue by its instant.
    """

    _ok = True  # as every event without a failure
    _value = None

    def __init__(
        self,
        env: simpy.Environment,
        instant: float,
        priority: EventPriority = NORMAL,
        callback: Callable[[simpy.Event], None] | None = None,
    ) -> None:
        self.instant = instant
        self.callbacks: list[Callable[[simpy.Event], None]] = [callback] if callback else []
        heappush(env._queue, (instant, priority, next(env._eid), self))
