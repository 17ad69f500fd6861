"""The KV cache of a device: it counts blocks, and knows nothing of time."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

from sim.job import Job


class KVCache:
    """`total` blocks of `block_size` tokens each, handed to jobs and taken back; blocks are counted, not told apart."""

    __slots__ = ("block_size", "free", "total")

    def __init__(self, total: int, block_size: int) -> None:
        if total < 1:
            raise ValueError(f"blocks must be positive, got {total}")
        if block_size < 1:
            raise ValueError(f"block_size must be positive, got {block_size}")
        self.total = total
        self.block_size = block_size
        self.free = total

    def find(self, job: Job) -> Sized:
        """The blocks of `job`'s context, from its first token on, that are here already: none without sharing."""
        return ()

    def shared(self, job: Job) -> Iterable[Any]:
        """The full blocks of `job`, from its first token on, that others may hold too, by runs; none without sharing.

        Each run says how many `blocks` it is.
        """
        return ()

    def missing(self, job: Job, tokens: int, found: Sized = ()) -> int:
        """Free blocks that `job` needs to own those of `tokens` tokens, beside what was `found` for it."""
        more = -(-tokens // self.block_size) - job.blocks
        return more if more > 0 else 0

    def allocate(self, job: Job, tokens: int, found: Sized = ()) -> None:
        """Let `job` own the blocks of `tokens` tokens at least, those `found` for it among them."""
        more = -(-tokens // self.block_size) - job.blocks
        if more > 0:
            job.blocks += more
            self.free -= more
            if self.free < 0:
                raise RuntimeError(f"{job} asks for {-self.free} more blocks than are free")

    def fill(self, job: Job, tokens: int) -> None:
        """Make known what the first `tokens` tokens of `job` fill: nothing without sharing."""

    def forget(self, job: Job, tokens: int) -> None:
        """`job` is to compute `tokens` tokens and no more for now: what was found of others stays."""

    def release(self, job: Job) -> None:
        """Take back every block of `job`."""
        self.free += job.blocks
        job.blocks = 0
