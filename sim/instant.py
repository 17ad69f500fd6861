"""An event at an absolute instant."""

from __future__ import annotations

from heapq import heappush

import simpy
from simpy.events import NORMAL, EventPriority

LATE = EventPriority(2)  # SimPy's own priorities are URGENT = 0 and NORMAL = 1


class At(simpy.Event):
    """Fires at `instant` (s). With the priority LATE it comes after all arrivals of that very instant.

    SimPy schedules by delays, and now + (instant - now) is not always the instant: a leap and the steps that it stands
    for would end at times that differ in the last bit. So the event goes into SimPy's queue by its instant.
    """

    def __init__(self, env: simpy.Environment, instant: float, priority: EventPriority = NORMAL) -> None:
        self.env = env
        self.callbacks = []
        self._ok = True
        self._value = None
        heappush(env._queue, (instant, priority, next(env._eid), self))
