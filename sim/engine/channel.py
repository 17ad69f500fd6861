"""A link with what is under way on it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from sim.link import Link, Sharing

Call = Callable[[float], None]  # it is handed the instant, s
At = Callable[[float, Call], None]  # lets it be called then


class Channel(ABC):
    """Transfers in one direction of `link`. `at` makes the appointments: a clock's, or those of a replica's agenda."""

    def __init__(self, link: Link, at: At) -> None:
        self.link = link
        self._at = at

    @abstractmethod
    def send(self, size: float, now: float, arrived: Call) -> None:
        """Begin to send `size` bytes at `now` (s); `arrived` is called when the last of them is there."""


class FirstCome(Channel):
    """One transfer after the other: when each ends is known as it begins."""

    _free = 0.0  # when all that was sent has left, s

    def send(self, size: float, now: float, arrived: Call) -> None:
        self._free = max(self._free, now) + size / self.link.bytes_per_second
        self._at(self._free + self.link.latency, arrived)


class Fair(Channel):
    """Each of the transfers under way has an equal share of the bandwidth.

    `_sent` are the bytes that one which was there from the first would have sent: who comes when they are s is through
    when they are s + size.
    """

    def __init__(self, link: Link, at: At) -> None:
        super().__init__(link, at)
        self._sent = self._since = 0.0  # bytes, as of that instant (s)
        self._ends: list[tuple[float, int, Call]] = []  # a heap by what will be sent then
        self._numbers = count()
        self._next = math.inf  # the appointment that counts, s: all others were overtaken

    def send(self, size: float, now: float, arrived: Call) -> None:
        self._go_on(now)
        heappush(self._ends, (self._sent + size, next(self._numbers), arrived))
        self._appoint()

    def _go_on(self, now: float) -> None:
        if self._ends:
            self._sent += (now - self._since) * self.link.bytes_per_second / len(self._ends)
        self._since = now

    def _appoint(self) -> None:
        left = max(self._ends[0][0] - self._sent, 0.0)
        self._next = self._since + left * len(self._ends) / self.link.bytes_per_second
        self._at(self._next, self._end)

    def _end(self, now: float) -> None:
        """The first of those under way is through, and who ends with it."""
        if now != self._next:
            return
        self._next, self._since, self._sent = math.inf, now, self._ends[0][0]
        while self._ends and self._ends[0][0] <= self._sent:
            self._at(now + self.link.latency, heappop(self._ends)[2])
        if self._ends:
            self._appoint()


def channel(link: Link, at: At) -> Channel:
    """An empty channel over `link`; where the bandwidth is boundless there is nothing to share."""
    fair = link.sharing is Sharing.FAIR and link.bytes_per_second < math.inf
    return (Fair if fair else FirstCome)(link, at)
