"""The KV cache of a device: it counts blocks, and knows nothing of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.job import Job


class KVCache:
    """`total` blocks of `block_size` tokens each, handed to jobs and taken back; blocks are counted, not told apart.

    Jobs in lockstep need no look: each takes a block every `block_size` ticks, so it is enough to count them by
    phase, the tick modulo `block_size` at which they do.
    """

    __slots__ = ("_enlisted", "_phases", "block_size", "free", "shares_output", "total")

    def __init__(self, total: int, block_size: int) -> None:
        if total < 1:
            raise ValueError(f"blocks must be positive, got {total}")
        if block_size < 1:
            raise ValueError(f"block_size must be positive, got {block_size}")
        self.total = total
        self.block_size = block_size
        self.free = total
        self.shares_output = False  # whether a block that a decoding job fills may be found by another
        self._enlisted = 0  # jobs in lockstep that take blocks as they go
        self._phases = [0] * block_size  # those of them that take one at the ticks of a phase

    def find(self, job: Job) -> Sequence[Any]:
        """The blocks of `job`'s context, from its first token on, that are here already: none without sharing."""
        return ()

    def missing(self, job: Job, tokens: int, found: Sequence[Any] = ()) -> int:
        """Free blocks that `job` needs to hold `tokens` tokens, beside what it owns and what was `found` for it."""
        more = -(-tokens // self.block_size) - job.blocks
        return more if more > 0 else 0

    def hold(self, job: Job, tokens: int, found: Sequence[Any] = ()) -> None:
        """Let `job` own the blocks of `tokens` tokens at least, those `found` for it among them."""
        more = -(-tokens // self.block_size) - job.blocks
        if more > 0:
            job.blocks += more
            self.free -= more
            if self.free < 0:
                raise RuntimeError(f"{job} asks for {-self.free} more blocks than are free")

    def release(self, job: Job) -> None:
        """Take back every block of `job`."""
        self.free += job.blocks
        job.blocks = 0

    def enlist(self, job: Job, tick: int) -> None:
        """`job`, which owns just the blocks of its computed tokens, decodes in lockstep from `tick` on."""
        self._phases[(tick - job.base_computed) % self.block_size] += 1
        self._enlisted += 1

    def finish(self, job: Job, tick: int) -> None:
        """`dismiss` and `release`."""
        self._phases[(tick - job.base_computed) % self.block_size] -= 1
        self._enlisted -= 1
        self.free += -(-job.base_computed // self.block_size)
        job.blocks = 0

    def dismiss(self, job: Job, tick: int) -> None:
        """`job` has left the lockstep at `tick`: it owns the blocks of what it has computed."""
        self._phases[(tick - job.base_computed) % self.block_size] -= 1
        self._enlisted -= 1
        job.blocks = -(-job.base_computed // self.block_size)

    def grow(self, tick: int, spare: int = 0) -> bool:
        """Hand the jobs in lockstep the blocks that they take at `tick`, if `spare` blocks are left then."""
        left = self.free - self._phases[tick % self.block_size]
        if left < spare:
            return False
        self.free = left
        return True

    def leap(self, tick: int, ticks: int) -> None:
        """`grow` at so many ticks from `tick` on."""
        self.free -= self.growth(tick, ticks)

    def ticks_within(self, tick: int, most: int) -> int:
        """For how many ticks from `tick` on, `most` at most, the free blocks last."""
        if self._enlisted * (most // self.block_size + 1) <= self.free or self.growth(tick, most) <= self.free:
            return most
        enough, short = 0, most
        while short - enough > 1:
            middle = (enough + short) // 2
            if self.growth(tick, middle) <= self.free:
                enough = middle
            else:
                short = middle
        return enough

    def growth(self, tick: int, ticks: int) -> int:
        """Blocks that the jobs in lockstep take in so many ticks from `tick` on."""
        phases, size = self._phases, self.block_size
        first = tick % size
        last = first + ticks % size
        blocks = sum(phases[first:last]) if last <= size else self._enlisted - sum(phases[last - size : first])
        return blocks + ticks // size * self._enlisted
