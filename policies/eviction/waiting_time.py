"""KV goes to the host by estimated waiting time, and comes back ahead of need, as ALISE moves it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from policies.eviction.keep_then_swap import KeepThenSwap
from policies.order.alise import Alise
from policies.order.execution_time import ExecutionTime
from sim.job import Job
from sim.policy import Keep, Load, Review


@dataclass(frozen=True, slots=True)
class ByWaitingTime(KeepThenSwap):
    """A share `reserve` of the blocks is kept free: who waits longest goes to the host first, who is next comes back.

    The estimated waiting time is [A] what those ahead still take by `time`, those that run first, over the number of
    those that run; or less, where `ageing` brings the job to the first queue sooner (None: nobody is promoted).
    """

    time: ExecutionTime
    reserve: float = 0.05
    ageing: Alise | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.reserve < 1:
            raise ValueError(f"reserve must be a share from 0 to below 1, got {self.reserve}")

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """SWAP the longest waits until the reserve is free, or KEEP the shortest on the device, as far as it is.

        Who calls out goes before all that wait, and does not come back before the call is over.
        """
        if not load.running:
            return Review(steps=1)  # who is admitted now may need all the room there is
        here, shown = any(job.blocks for job in idle), frozenset(idle)
        spare = load.free_blocks - math.ceil(self.reserve * load.total_blocks)
        if here and spare + load.leaving < 0:
            line = [*self.line(idle, jobs, load, now), *(job for job in idle if job.paused is not None)]
            return Review(self._out(line, -spare - load.leaving, load), steps=1)
        beside = spare - sum(_needed(job, load) for job in jobs if job.runs)
        away = [job.host_tokens for job in idle if job.paused is None]
        if any(tokens and load.blocks(tokens) <= beside for tokens in away):
            return Review(self._back([job for job in jobs if _waits(job, shown)], beside, load), steps=1)
        # a step takes a block for each job that runs, at most, and none comes free while nobody leaves
        return Review(steps=max(1, spare // load.running) if here else math.inf)

    def line(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> list[Job]:
        """Those of `jobs` that wait, the shortest estimated waiting time first, equal ones by rank."""
        waits = self.waiting_times(idle, jobs, load, now)
        return sorted(waits, key=lambda job: waits[job])

    def waiting_times(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> dict[Job, float]:
        """The estimated waiting time, s, of those of `jobs` that wait, in the order of rank."""
        ahead, found, shown = 0.0, {}, frozenset(idle)
        for job in jobs:
            if _waits(job, shown):
                wait = ahead / load.running
                found[job] = wait if self.ageing is None else min(wait, self.ageing.until_first(job, now))
            ahead += self.time.remaining(job) if job.paused is None else 0.0
        return found

    def _out(self, line: Sequence[Job], short: int, load: Load) -> list[tuple[Job, Keep]]:
        """The last of `line` that make up for the blocks that are `short`, as far as the host has room."""
        moves, room = [], load.free_on_host
        for job in reversed(line):
            if short > 0 and 0 < job.blocks <= room:
                moves.append((job, Keep.SWAP))
                room -= job.blocks
                short -= job.blocks
        return moves

    def _back(self, line: Sequence[Job], spare: int, load: Load) -> list[tuple[Job, Keep]]:
        """The first of `line` that are on the host, until one has no KV yet or does not fit into the `spare` blocks.

        Who has none is to have all the room there is. The line is that of rank, by which jobs are admitted: by another
        two might take each other's place for ever.
        """
        moves = []
        for job in line:
            if not job.blocks:
                spare -= load.blocks(job.host_tokens)
                if spare < 0 or not job.host_tokens:
                    break
                moves.append((job, Keep.KEEP))
        return moves


def _needed(job: Job, load: Load) -> int:
    """Blocks that `job`, which runs, may take in this step: one, or those of its prompt."""
    return 1 if job.pending <= 1 else max(0, load.blocks(job.context) - job.blocks)


def _waits(job: Job, idle: Collection[Job]) -> bool:
    """Whether `job` waits: it neither runs nor calls out, and its KV is not under way."""
    return job.paused is None and (job in idle or not (job.runs or job.blocks))
