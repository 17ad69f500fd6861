"""The KV of a preempted job is dropped."""

from __future__ import annotations

from dataclasses import dataclass

from sim.foregone import EvictionByCause
from sim.policy import Cause, Keep


@dataclass(frozen=True, slots=True)
class Recompute(EvictionByCause):
    """Drop it and compute it again, as vLLM does."""

    def of(self, cause: Cause) -> Keep:
        """DROP."""
        return Keep.DROP
