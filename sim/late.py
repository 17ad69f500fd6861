"""A timeout that fires after everything else of its instant."""

from __future__ import annotations

import simpy
from simpy.events import EventPriority

LATE = EventPriority(2)  # SimPy's own priorities are URGENT = 0 and NORMAL = 1


class Late(simpy.Event):
    """Fires `delay` seconds from now, after the arrivals of that very instant, so that a plan sees all of them."""

    def __init__(self, env: simpy.Environment, delay: float = 0.0) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, priority=LATE, delay=delay)
