"""Least attained service first: foreground-background."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import Order, Stands


@dataclass(frozen=True, slots=True)
class LeastAttained(Order):
    """Rank by the whole quanta of so many output tokens that a job has emitted, those of as many by arrival.

    Needs no prediction. Under `batching=preemptive` a job that ends a quantum stops for one that has had fewer; the
    smaller the `quantum`, the more evenly those share that have had the least.
    """

    quantum: int = 32

    def __post_init__(self) -> None:
        if not self.quantum >= 1:
            raise ValueError(f"quantum must be at least 1 token, got {self.quantum}")

    def rank(self, job: Job, now: float) -> tuple[float, float]:
        """Whole quanta, arrival (s): so a job that ends a quantum goes behind those that came before it."""
        return job.emitted // self.quantum, job.request.arrival

    def stands(self, job: Job, now: float) -> Stands:
        """Until the end of the quantum."""
        return Stands(tokens=self.quantum - job.emitted % self.quantum)
