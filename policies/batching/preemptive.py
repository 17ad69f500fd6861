"""Continuous batching in which a better job takes the place of the worst."""

from __future__ import annotations

from dataclasses import dataclass

from policies.batching.continuous import Continuous
from sim.job import Job
from sim.policy import Running, Short


@dataclass(frozen=True, slots=True)
class Preemptive(Continuous):
    """The jobs that run are the first in rank of all: with SRPT, shortest remaining processing time; with SJF, PSJF.

    Who lacks but tokens of a step takes a place too, if `for_tokens`: so prompts that rank first stop whoever decodes.
    """

    for_tokens: bool = True

    def victim(self, incoming: Job, running: Running, lacks: Short, now: float) -> Job | None:
        """The last in rank, if `incoming` ranks before it."""
        return None if lacks is Short.TOKENS and not self.for_tokens else running.outranked(incoming)
