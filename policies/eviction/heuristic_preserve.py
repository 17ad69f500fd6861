"""The KV of those whose calls are short is kept, of all others swapped or dropped: INFERCEPT's heuristic."""

from __future__ import annotations

from dataclasses import dataclass

from policies.eviction.durations import foreseen
from policies.eviction.swap_within_budget import KEEP, SwapWithinBudget
from sim.job import Job
from sim.policy import Keep, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class HeuristicPreserve(SwapWithinBudget):
    """As `SwapWithinBudget`, but calls that are predicted to take `seconds` at most keep theirs where it is."""

    seconds: float

    def __post_init__(self) -> None:
        SwapWithinBudget.__post_init__(self)
        if not self.seconds >= 0:
            raise ValueError(f"seconds must not be negative, got {self.seconds}")

    def judged(self, job: Job, chunk: int, load: Load, now: float) -> tuple[float, Keep, Job]:
        """KEEP what is short, as if it wasted nothing."""
        if foreseen(job) <= self.seconds:
            return 0.0, KEEP, job
        return SwapWithinBudget.judged(self, job, chunk, load, now)
