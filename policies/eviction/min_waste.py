"""INFERCEPT as in its paper: of preserving, discarding and swapping what wastes least memory, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from policies.eviction.durations import Duration
from policies.eviction.swap_within_budget import DROP, KEEP, SwapWithinBudget
from policies.eviction.waste import chunked_discard, preserve
from sim.job import Job
from sim.policy import Keep, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class MinWaste(SwapWithinBudget):
    """As `SwapWithinBudget`, but what is not swapped is kept or dropped, whichever wastes less (equation 5).

    For how long it would be kept `duration` says.
    """

    duration: Duration

    def judged(self, job: Job, chunk: int, load: Load, now: float) -> tuple[float, Keep, Job]:
        """min(WastePreserve, WasteChunkD), and KEEP or DROP by which it is."""
        computed = job.computed
        dropped = chunked_discard(computed, load.running_tokens, chunk, self.costs)
        kept = preserve(computed, self.duration.left(job, now))
        return (kept, KEEP, job) if kept <= dropped else (dropped, DROP, job)
