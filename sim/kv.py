"""The KV cache of a device: it counts blocks, and knows nothing of time."""

from __future__ import annotations

from sim.job import Job


class KVCache:
    """`total` blocks of `block_size` tokens each, handed to jobs and taken back."""

    __slots__ = ("block_size", "free", "total")

    def __init__(self, total: int, block_size: int) -> None:
        if total < 1:
            raise ValueError(f"blocks must be positive, got {total}")
        if block_size < 1:
            raise ValueError(f"block_size must be positive, got {block_size}")
        self.total = total
        self.block_size = block_size
        self.free = total

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold `tokens` tokens."""
        return -(-tokens // self.block_size)

    def can_hold(self, job: Job, tokens: int) -> bool:
        """Whether `job` could own the blocks of `tokens` tokens, with what it owns already."""
        return self.blocks_for(tokens) - job.blocks <= self.free

    def hold(self, job: Job, tokens: int) -> None:
        """Let `job` own the blocks of at least `tokens` tokens."""
        more = self.blocks_for(tokens) - job.blocks
        if more > self.free:
            raise RuntimeError(f"{job} asks for {more} more blocks, {self.free} are free")
        if more > 0:
            self.free -= more
            job.blocks += more

    def release(self, job: Job) -> None:
        """Take back every block of `job`."""
        self.free += job.blocks
        job.blocks = 0
