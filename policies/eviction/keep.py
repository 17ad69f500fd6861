"""The KV of a job that stops stays on the device as long as there is room."""

from __future__ import annotations

from dataclasses import dataclass

from sim.foregone import EvictionByCause
from sim.policy import Cause, Keep

_PRESSURE, _KEEP, _DROP = Cause.PRESSURE, Keep.KEEP, Keep.DROP  # read off their classes they take as long as a call


@dataclass(frozen=True, slots=True)
class Resident(EvictionByCause):
    """Keep it for when the job runs again; under pressure drop it and compute it again."""

    def of(self, cause: Cause) -> Keep:
        """DROP under pressure, else KEEP."""
        return _DROP if cause is _PRESSURE else _KEEP
