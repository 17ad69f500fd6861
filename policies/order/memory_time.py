"""Memory over time, in token-seconds: how much of a device's memory a request takes, for how long, as LAMPS has it."""

from __future__ import annotations

from dataclasses import dataclass

from sim.policy import Keep


@dataclass(frozen=True, slots=True)
class MemoryTime:
    """The formulas by which LAMPS ranks (arXiv 2410.18248, and its released `vllm/core/policy.py`).

    A context of b blocks of `block_size` tokens is computed in n = ceil(b * block_size / `chunk`) steps (at least one)
    of `fixed_seconds` + `chunk` * `per_token_seconds` each: it takes step * (1 + n) * n / 2 * `chunk` token-seconds. A
    second on the host counts as `host_second` token-seconds, and moving b blocks there or back as b * (b / `rate`) / 2.
    """

    block_size: int = 64
    chunk: int = 384
    per_token_seconds: float = 1.0e-4
    fixed_seconds: float = 0.01
    host_second: float = 0.1
    rate: float = 2.0

    def __post_init__(self) -> None:
        for name in ("block_size", "chunk", "rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("per_token_seconds", "fixed_seconds", "host_second"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def blocks(self, tokens: float) -> int:
        """Those that so many tokens take: a prediction may be no whole number."""
        return int(-(-tokens // self.block_size))

    def computed(self, blocks: int) -> float:
        """Token-seconds until so many blocks are computed."""
        steps = max(-(-blocks * self.block_size // self.chunk), 1)
        return (self.fixed_seconds + self.chunk * self.per_token_seconds) * (1 + steps) * steps / 2 * self.chunk

    def moved(self, blocks: int) -> float:
        """Token-seconds until so many blocks are moved, one way."""
        return blocks * (blocks / self.rate) / 2

    def life(self, before: int, seconds: float, after: int, keep: Keep) -> float:
        """Of a request that grows to `before` blocks, calls for so many `seconds`, and takes `after` blocks more."""
        start = self.computed(before)
        if keep is Keep.KEEP:
            return start + before * self.block_size * seconds + self.computed(after)
        if keep is Keep.DROP:
            return start + self.computed(before + after)
        return start + self.moved(before) + self.host_second * seconds + self.moved(before) + self.computed(after)
