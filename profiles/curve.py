"""How long a pass takes, as a function of its tokens and of the context that they attend to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds of a pass over n tokens whose mean context is c: base(n) + slope(n) * c, both piecewise linear in n.

    For prefill n is the new tokens of the pass; for decode it is the jobs, so that slope(n) / n is the price of one
    token of total context. `base` (seconds) and `slope` (seconds per token of mean context) are given at `knots`
    (tokens) and never fall, so that a pass takes no less time with more tokens or with more context. `max_context` is
    the largest mean context that was measured. The curve answers up to `extrapolation` times its knots and context.
    """

    name: str
    knots: tuple[int, ...]
    base: tuple[float, ...]
    slope: tuple[float, ...]
    max_context: float
    extrapolation: float = 1.25

    def __post_init__(self) -> None:
        if not len(self.knots) == len(self.base) == len(self.slope) >= 2:
            lengths = f"{len(self.knots)}, {len(self.base)}, {len(self.slope)}"
            raise ValueError(f"{self.name}: knots, base and slope must be equally long, two at least, got {lengths}")
        if self.knots[0] < 1 or any(a >= b for a, b in pairwise(self.knots)):
            raise ValueError(f"{self.name}: knots must be positive and rise, got {self.knots}")
        for label, values in (("base", self.base), ("slope", self.slope)):
            if values[0] < 0 or any(a > b for a, b in pairwise(values)):
                raise ValueError(f"{self.name}: {label} must not be negative and must not fall, got {values}")
        if self.max_context <= 0:
            raise ValueError(f"{self.name}: max_context must be positive, got {self.max_context}")
        if self.extrapolation < 1:
            raise ValueError(f"{self.name}: extrapolation must be 1 or more, got {self.extrapolation}")

    def time(self, tokens: int, attended: float) -> float:
        """Seconds of a pass over `tokens` that attend to `attended` tokens in all; ValueError outside the range."""
        context = attended / tokens if tokens > 0 else 0.0
        base, slope = self._line(tokens, context)
        return base + slope * context

    def repeated_time(self, tokens: int, attended: float, passes: int) -> float:
        """Seconds of `passes` passes one after another, `attended` growing by `tokens` after each: decoding, leaped."""
        if passes < 1:
            raise ValueError(f"{self.name}: passes must be positive, got {passes}")
        context = attended / tokens if tokens > 0 else 0.0
        base, slope = self._line(tokens, context + passes - 1)
        return passes * (base + slope * (context + (passes - 1) / 2))

    def intercept(self) -> float:
        """Seconds that a pass costs before its first token and without context: `base` continued to zero tokens."""
        left, right = self.knots[:2]
        return max(0.0, self.base[0] - (self.base[1] - self.base[0]) * left / (right - left))

    def _line(self, tokens: int, context: float) -> tuple[float, float]:
        knots = self.knots
        if (
            not 0 < tokens <= knots[-1] * self.extrapolation
            or not 0 <= context <= self.max_context * self.extrapolation
        ):
            raise ValueError(
                f"{self.name}: asked for {tokens} tokens with a mean context of {context:.6g}; measured from "
                f"{knots[0]} to {knots[-1]} tokens and up to a mean context of {self.max_context:.6g}, "
                f"answered from 1 token and up to {self.extrapolation:g} times that"
            )
        right = min(bisect_right(knots, tokens), len(knots) - 1) or 1
        left = right - 1
        share = (tokens - knots[left]) / (knots[right] - knots[left])
        base, slope = self.base[left], self.slope[left]
        base += share * (self.base[right] - base)
        slope += share * (self.slope[right] - slope)
        return (base if base > 0 else 0.0), (slope if slope > 0 else 0.0)
