"""How long a prompt's prefill takes, alone on its device, as an order knows it beforehand."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sim.step import Profile, Step, attended_tokens


class PrefillSeconds(Protocol):
    """What an order asks that goes by prefill times."""

    def seconds(self, prompt_tokens: int) -> float:
        """Of a prompt of so many tokens, s."""
        ...


@dataclass(frozen=True, slots=True)
class Profiled:
    """What the `profile` of the device says of one whole prefill, exactly."""

    profile: Profile

    def seconds(self, prompt_tokens: int) -> float:
        """As in `PrefillSeconds`."""
        attended = attended_tokens(prompt_tokens, 0)
        return self.profile.step_time(Step(prefill_tokens=prompt_tokens, prefill_attended=attended, prefill_jobs=1))


@dataclass(frozen=True, slots=True)
class Tabled:
    """`seconds_at` so many `tokens`, straight between them, and like the nearest beyond: FastServe's own profile."""

    tokens: Sequence[int]
    seconds_at: Sequence[float]

    def __post_init__(self) -> None:
        tokens, seconds = tuple(self.tokens), tuple(self.seconds_at)
        if not tokens or len(tokens) != len(seconds):
            raise ValueError(f"prefill times need a time for each length, got {len(tokens)} and {len(seconds)}")
        if list(tokens) != sorted(set(tokens)):
            raise ValueError(f"prefill times need lengths that rise, got {list(tokens)} tokens")
        if not all(0 <= one < math.inf for one in seconds):
            raise ValueError(f"prefill times must be finite and not negative, got {list(seconds)} s")
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "seconds_at", seconds)

    def seconds(self, prompt_tokens: int) -> float:
        """As in `PrefillSeconds`."""
        after = bisect_left(self.tokens, prompt_tokens)
        if after == 0 or after == len(self.tokens):
            return self.seconds_at[min(after, len(self.tokens) - 1)]
        left, right = self.tokens[after - 1], self.tokens[after]
        low, high = self.seconds_at[after - 1], self.seconds_at[after]
        return low + (high - low) * (prompt_tokens - left) / (right - left)
