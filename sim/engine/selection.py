"""Whom the batching selects of those who wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sim.engine.queue import WaitingQueue
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold


def select(
    batching: Batching, waiting: WaitingQueue, running: Collection[Job], now: float
) -> Sequence[Job] | Hold:
    """The answer of `batching` to the first that wait; RuntimeError if it holds while jobs run, or not until later."""
    waiting.refresh(now)
    chosen = batching.select(waiting.head(), running, now)
    if isinstance(chosen, Hold) and (running or not chosen.until > now):
        when = f"at {now} s until {chosen.until} s{' while jobs run' if running else ''}"
        raise RuntimeError(f"{type(batching).__name__} holds {when}")
    return chosen
