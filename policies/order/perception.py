"""Perception only, a baseline of LTR (arXiv 2408.15792): the model first says how long its answer will be."""

from __future__ import annotations

from dataclasses import dataclass

from sim.job import Job
from sim.policy import ALWAYS, Order, Stands


@dataclass(frozen=True, slots=True)
class Perception(Order):
    """First come, first served for the first `tokens` of each answer, which hold the estimate; then the shortest first.

    Who has not said it yet goes before all who have [A]; the estimate is the prediction.
    """

    tokens: int = 15

    def __post_init__(self) -> None:
        if not self.tokens >= 1:
            raise ValueError(f"tokens must be at least 1, got {self.tokens}")

    def rank(self, job: Job, now: float) -> tuple[int, float]:
        """0 and the arrival (s) until the estimate is there, then 1 and the estimate."""
        said = job.emitted >= self.tokens
        return int(said), job.prediction.length if said else job.request.arrival

    def stands(self, job: Job, now: float) -> Stands:
        """Until the estimate is there."""
        left = self.tokens - job.emitted
        return Stands(tokens=left) if left > 0 else ALWAYS
