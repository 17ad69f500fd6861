"""The KV of those that call out goes to the host as fast as steps hide it; the rest is dropped: a part of INFERCEPT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter

from policies.eviction.swap import Swap
from policies.eviction.waste import Costs, chunked_discard
from sim.job import Job
from sim.policy import Cause, Keep, Load, Review

_holds_blocks = attrgetter("blocks")


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
            return Keep.KEEP
        return Keep.DROP if job.paused is None else Swap.on_stop(self, job, cause, load, now)

    def judged(self, job: Job, chunk: int, load: Load, now: float) -> tuple[float, Keep]:
        """What the call of `job` wastes (token-seconds) if it is not swapped, and what becomes of its KV then."""
        return chunked_discard(job.computed, load.running_tokens, chunk, self.costs), Keep.DROP

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """By falling waste: SWAP while the budget lasts and the host has room, then what is said of each."""
        calling = [job for job in takewhile(_holds_blocks, idle) if job.paused is not None]
        if not calling:
            return Review()
        chunk = self.costs.chunk(load.pending_tokens)
        judged = [(*self.judged(job, chunk, load, now), job) for job in calling]
        judged.sort(key=lambda one: -one[0])
        budget = self.costs.hidden(load.pending_tokens) - load.leaving * load.block_size - load.returning_tokens
        moves, room = [], load.free_on_host
        for waste, otherwise, job in judged:
            if waste > 0 and budget > 0 and job.blocks <= room:
                moves.append((job, Keep.SWAP))
                budget -= job.computed
                room -= job.blocks
            elif otherwise is not Keep.KEEP:
                moves.append((job, otherwise))
        return Review(moves, steps=self.every)
