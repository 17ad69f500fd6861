"""Sessions in a closed loop: a request with a think time comes after the end of the one before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from sim.request import Request


@dataclass(slots=True)
class _Session:
    """`ended` is when its last request ended (s), None while one is in the system or about to come."""

    ended: float | None = None
    behind: deque[Request] = field(default_factory=deque)  # those that wait for the end of the one before them


class Sessions:
    """Who of each session is under way, and who waits for the end of another."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, _Session] = {}

    def come(self, request: Request) -> Request | None:
        """The request as it arrives, or None if it waits for the end of the one before it in its session."""
        assert request.session is not None
        session = self._open.get(request.session)
        if session is None:
            self._open[request.session] = _Session()
            return request
        session.behind.append(request)
        return None if session.ended is None else self._next(session, session.ended)

    def end(self, request: Request, now: float) -> Request | None:
        """`request` ended at `now` (s): the next of its session, as it will arrive, if one waits for that."""
        assert request.session is not None
        session = self._open[request.session]
        session.ended = now
        return self._next(session, now) if session.behind else None

    def _next(self, session: _Session, ended: float) -> Request:
        session.ended = None
        follower = session.behind.popleft()
        assert follower.think is not None
        return replace(follower, arrival=max(follower.arrival, ended + follower.think))
