"""Slots of a policy whose answers are known beforehand, so that the engine does not ask for them one by one.

`sim.policy.FixedOrder` is of the kind. What a class of one's own says instead is asked for as that of any other part.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence

from sim.job import Job
from sim.policy import Batching, Cause, Eviction, Keep, Load


class Unselective(Batching):
    """A batching that selects whoever is next."""

    __slots__ = ()

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job]:
        """All that are shown."""
        return waiting


class EvictionByCause(Eviction):
    """An eviction that asks for nothing but why a job gives way."""

    __slots__ = ()

    @abstractmethod
    def of(self, cause: Cause) -> Keep:
        """What becomes of the KV of any job that stops for `cause`."""

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """As `of` says."""
        return self.of(cause)


def foregone(eviction: Eviction) -> EvictionByCause | None:
    """`eviction`, if it asks for nothing but the cause; one that derives from such a one may do as it likes."""
    asks = type(eviction).on_stop is not EvictionByCause.on_stop
    return eviction if isinstance(eviction, EvictionByCause) and not asks else None
