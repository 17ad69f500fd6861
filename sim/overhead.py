"""What scheduling itself costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Overhead:
    """What scheduling itself costs, charged to the clock.

    `decision_seconds` for each plan that admits or preempts jobs, `rank_seconds` for each rank computed, of jobs that
    wait and, in the search for a victim, of those that run; of a search that finds nobody once, as long as that stands.
    What an engine spends on every step, decision or not, is part of the profile.
    """

    decision_seconds: float = 0.0
    rank_seconds: float = 0.0

    @property
    def charged(self) -> bool:
        """Whether it costs anything."""
        return self.decision_seconds > 0 or self.rank_seconds > 0

    def __post_init__(self) -> None:
        if not (self.decision_seconds >= 0 and self.rank_seconds >= 0):
            raise ValueError(f"overheads must not be negative, got {self.decision_seconds} and {self.rank_seconds} s")
