"""Simulated time: SimPy's environment, and events at absolute instants."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from operator import attrgetter

import simpy
from simpy.core import StopSimulation
from simpy.events import NORMAL, URGENT, EventPriority

LATE = EventPriority(2)  # SimPy's own priorities are URGENT = 0 and NORMAL = 1


class _Instant(simpy.Event):
    """An event without a value, which calls back when it fires."""

    _ok = True  # as every event without a failure
    _value = None

    def __init__(self, callback: Callable[[simpy.Event], None]) -> None:
        self.callbacks: list[Callable[[simpy.Event], None]] = [callback]


class Clock(simpy.Environment):
    """An environment that can be told an instant.

    SimPy schedules by delays, and now + (instant - now) is not always the instant: a leap and the steps that it stands
    for would end at times that differ in the last bit. So an event goes into SimPy's queue by its instant.
    """

    now = property(attrgetter("_now"))  # as SimPy's, without a frame of Python's: it is looked at more than all else

    def at(self, instant: float, call: Callable[[simpy.Event], None], priority: EventPriority = NORMAL) -> None:
        """Call `call` at `instant` (s); with the priority LATE after all arrivals of that instant."""
        heappush(self._queue, (instant, priority, next(self._eid), _Instant(call)))

    def turn(self) -> int:
        """The place of an event that is put into the queue now, among those of its instant; see `later`."""
        return next(self._eid)

    def later(self, instant: float, call: Callable[[simpy.Event], None], turn: int) -> None:
        """As `at`, of an event whose `turn` was taken before."""
        heappush(self._queue, (instant, NORMAL, turn, _Instant(call)))

    def reach(self, instant: float) -> bool:
        """Let it be `instant` (s) without an event, if nothing is due before or then; whether it is."""
        queue = self._queue
        if queue and queue[0][0] <= instant:
            return False
        self._now = instant
        return True

    def appoint(self, instant: float, call: Callable[[float], None]) -> None:
        """Let `call` be called at `instant` (s), which it is handed."""
        self.at(instant, lambda _: call(instant))

    def end(self, instant: float) -> None:
        """Let the step raise `StopSimulation` that comes to `instant` (s), before all else that happens then."""
        self.at(instant, StopSimulation.callback, URGENT)
