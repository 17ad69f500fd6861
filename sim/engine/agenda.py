"""What happens at a replica without anybody coming: appointments at instants that are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Call = Callable[[float], None]  # it is handed the instant, s


class Agenda:
    """Appointments in the order of their instants, those of one instant as they were made; a leap ends at `head`."""

    __slots__ = ("_calls", "_numbers", "head")

    def __init__(self) -> None:
        self.head = math.inf  # when the next is, s
        self._calls: list[tuple[float, int, Call]] = []
        self._numbers = count()

    def at(self, instant: float, call: Call) -> None:
        """Let `call` be called at `instant` (s), or when it is past."""
        heappush(self._calls, (instant, next(self._numbers), call))
        self.head = self._calls[0][0]

    def keep(self, now: float) -> None:
        """Keep the appointments up to `now` (s), those made by them too."""
        calls = self._calls
        while calls and calls[0][0] <= now:
            instant, _, call = heappop(calls)
            call(instant)
        self.head = calls[0][0] if calls else math.inf
