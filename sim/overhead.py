"""What scheduling itself costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Overhead:
    """What scheduling itself costs, charged to the clock.

    `decision_seconds` for each plan that admits or preempts jobs, `rank_seconds` for each rank computed, of jobs that
    wait and, in the search for a victim, of those that run; of a search that finds nobody once, as long as that stands.
    `route_seconds` for each request: so long the one router, first come first served, thinks of it before it decides.
    What an engine spends on every step, decision or not, is part of the profile.
    """

    decision_seconds: float = 0.0
    rank_seconds: float = 0.0
    route_seconds: float = 0.0

    @property
    def charged(self) -> bool:
        """Whether a replica's scheduler costs anything."""
        return self.decision_seconds > 0 or self.rank_seconds > 0

    def __post_init__(self) -> None:
        for one in fields(self):
            if not 0 <= (seconds := getattr(self, one.name)) < math.inf:
                raise ValueError(f"overhead.{one.name} must be finite and not negative, got {seconds} s")
            object.__setattr__(self, one.name, float(seconds))
