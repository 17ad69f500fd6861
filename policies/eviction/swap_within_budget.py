"""The KV of those that call out goes to the host as fast as steps hide it; the rest is dropped: a part of INFERCEPT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from policies.eviction.swap import Swap
from policies.eviction.waste import Costs, chunked_discard
from sim.job import Job
from sim.policy import Cause, Keep, Load, Review

KEEP, SWAP, DROP = Keep.KEEP, Keep.SWAP, Keep.DROP  # the lookup in an enum takes as long as a call
NOTHING = Review()

_waste = itemgetter(0)


@dataclass(frozen=True, slots=True)
class SwapWithinBudget(Swap):
    """Each step the calls that would waste most go to the host, N_i tokens in all, both ways; the rest is dropped.

    N_i is what hides behind a step (`Costs.hidden`), less what is under way: a job goes while any of it is left, as a
    whole [A]. It is looked at `every` so many steps. Who has to stop for others' memory is dropped [A], unless it
    calls out: then it is swapped.
    """

    costs: Costs
    every: int = 1

    def __post_init__(self) -> None:
        if not self.every >= 1:
            raise ValueError(f"every must be at least 1 step, got {self.every}")

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """KEEP at a call, of which `review` says more in the same step; else SWAP who calls out, DROP who does not."""
        if cause is Cause.PAUSE:
            return KEEP
        return DROP if job.paused is None else Swap.on_stop(self, job, cause, load, now)

    def judged(self, job: Job, chunk: int, load: Load, now: float) -> tuple[float, Keep, Job]:
        """What the call of `job` wastes (token-seconds) if it is not swapped, and what becomes of its KV then."""
        return chunked_discard(job.computed, load.running_tokens, chunk, self.costs), DROP, job

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """By falling waste: SWAP while the budget lasts and the host has room, then what is said of each."""
        costs, pending = self.costs, load.pending_tokens
        chunk, judged = costs.chunk(pending), []
        for job in idle:
            if not job.blocks:
                break  # it is on the host, as all behind it
            if job.paused is not None:
                judged.append(self.judged(job, chunk, load, now))
        if not judged:
            return NOTHING
        judged.sort(key=_waste, reverse=True)
        budget = costs.hidden(pending) - load.leaving * load.block_size - load.returning_tokens
        moves, room = [], load.free_on_host
        for waste, otherwise, job in judged:
            if waste > 0 and budget > 0 and job.blocks <= room:
                moves.append((job, SWAP))
                budget -= job.computed
                room -= job.blocks
            elif otherwise is not KEEP:
                moves.append((job, otherwise))
        return Review(moves, self.every)
