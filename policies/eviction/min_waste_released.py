"""INFERCEPT as released: all calls that waste less dropped than kept are dropped, but for the worst of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from policies.eviction.durations import Duration
from policies.eviction.swap import Swap
from policies.eviction.waste import Costs, preserve, released_discard
from sim.job import Job
from sim.policy import Cause, Keep, Load, Review

Moves = list[tuple[Job, Keep]]


@dataclass(frozen=True, slots=True)
class MinWasteReleased(Swap):
    """What the released scheduler_v2 does under its policy V, which is not what the paper says.

    Of the calls whose w_d is less than their w_p those with less than the greatest w_d are dropped. The others are
    targets: kept until the first of those who wait lacks blocks, then swapped, the last first, of tokens no more than
    (1 + `swap_slope`) S + `swap_base` - free / 2 a step. Where the host is full the call there that still takes longest
    is dropped for it, or else the target itself. If all who wait are on the host, the first of them is dropped: its
    "active discard". It is looked at `every` so many steps. Whom a running job's need of memory takes, the engine says.
    """

    costs: Costs
    duration: Duration
    swap_slope: float
    swap_base: float
    every: int = 1

    def __post_init__(self) -> None:
        if not self.every >= 1:
            raise ValueError(f"every must be at least 1 step, got {self.every}")

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """KEEP at a call; else SWAP who calls out, and DROP who does not."""
        if cause is Cause.PAUSE:
            return Keep.KEEP
        return Keep.DROP if job.paused is None else Swap.on_stop(self, job, cause, load, now)

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """DROP all candidates but the targets, SWAP those when memory is needed; then the active discard."""
        calling = [job for job in idle if job.blocks and job.paused is not None]
        waiting = _waiting(idle, jobs)
        moves: Moves = []
        if calling:
            others = sum(load.blocks(job.computed) for job in jobs if job.runs) * load.block_size
            dropped, targets = self._candidates(calling, others, load, now)
            moves += [(job, Keep.DROP) for job in dropped]
            free = load.free_blocks + load.leaving + sum(job.blocks for job in dropped)
            short = load.blocks(waiting[0].context) - waiting[0].blocks - free if waiting else 0
            hosted = [job for job in idle if job.host_tokens and job.paused is not None]
            moves += self._give_up(targets, hosted, short, load, now)
        if waiting and all(job.host_tokens for job in waiting):
            moves.append((waiting[0], Keep.DROP))
        return Review(moves, steps=self.every if calling or waiting else math.inf)

    def _candidates(
        self, calling: Sequence[Job], others: int, load: Load, now: float
    ) -> tuple[Sequence[Job], Sequence[Job]]:
        """Who is dropped now, and the targets, of those that would rather be dropped than kept."""
        wastes = {}
        for job in calling:
            held = job.blocks * load.block_size
            waste = released_discard(held, others, load.pending_tokens, self.costs)
            if waste < preserve(held, self.duration.left(job, now)):
                wastes[job] = waste
        most = max(wastes.values(), default=0.0)
        return [job for job in wastes if wastes[job] < most], [job for job in wastes if wastes[job] == most]

    def _give_up(self, targets: Sequence[Job], hosted: list[Job], short: int, load: Load, now: float) -> Moves:
        """Of `targets` the last, so that the blocks that are `short` come free: to the host, as far as that goes."""
        size, room = load.block_size, load.free_on_host
        cap = (1 + self.swap_slope) * self.costs.budget + self.swap_base - load.free_blocks * size / 2
        blocks = cap // size - load.leaving
        moves: Moves = []
        for job in reversed(targets):
            if short <= 0 or blocks <= 0:
                break
            if job.blocks > room and hosted:
                longest = max(hosted, key=lambda one: self.duration.left(one, now))
                hosted.remove(longest)
                moves.append((longest, Keep.DROP))
                room += load.blocks(longest.host_tokens)
            fits = job.blocks <= room
            moves.append((job, Keep.SWAP if fits else Keep.DROP))
            room -= job.blocks if fits else 0
            blocks -= job.blocks
            short -= job.blocks
        return moves


def _waiting(idle: Sequence[Job], jobs: Sequence[Job]) -> list[Job]:
    """Those of `jobs` that wait to run, in the order of rank: their KV is not under way, and they do not call out."""
    shown = frozenset(idle)
    return [job for job in jobs if not job.runs and job.paused is None and (job in shown or not job.blocks)]
