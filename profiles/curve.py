"""How long a pass takes, as a function of its tokens and of the context that they attend to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

from sim.step import Line


@dataclass(frozen=True)
class Curve:
    """Seconds of a pass over n tokens whose mean context is c: base(n) + slope(n) * c, both piecewise linear in n.

    For prefill n is the new tokens of the pass; for decode it is the jobs, so that slope(n) / n is the price of one
    token of total context. `base` (seconds) and `slope` (seconds per token of mean context) are given at `knots`
    (tokens). A pass takes no less time with more context, and `slope` does not fall either; `base` may: on a CPU two
    jobs can take longer than four, for products of few rows are computed in other ways. `max_context` is the largest
    mean context that was measured. The curve answers up to `extrapolation` times its knots and context.
    """

    name: str
    knots: tuple[int, ...]
    base: tuple[float, ...]
    slope: tuple[float, ...]
    max_context: float
    extrapolation: float = 1.25
    _lines: ClassVar[
        dict[int, Line]
    ]  # each curve's own, of what it was asked so far: no field, for it says nothing new

    def __post_init__(self) -> None:
        if not len(self.knots) == len(self.base) == len(self.slope) >= 2:
            lengths = f"{len(self.knots)}, {len(self.base)}, {len(self.slope)}"
            raise ValueError(f"{self.name}: knots, base and slope must be equally long, two at least, got {lengths}")
        if self.knots[0] < 1 or any(a >= b for a, b in pairwise(self.knots)):
            raise ValueError(f"{self.name}: knots must be positive and rise, got {self.knots}")
        if min(self.base) < 0:
            raise ValueError(f"{self.name}: base must not be negative, got {self.base}")
        if self.slope[0] < 0 or any(a > b for a, b in pairwise(self.slope)):
            raise ValueError(f"{self.name}: slope must not be negative and must not fall, got {self.slope}")
        if self.max_context <= 0:
            raise ValueError(f"{self.name}: max_context must be positive, got {self.max_context}")
        if self.extrapolation < 1:
            raise ValueError(f"{self.name}: extrapolation must be 1 or more, got {self.extrapolation}")
        object.__setattr__(self, "_lines", {})

    def time(self, tokens: int, attended: float) -> float:
        """Seconds of a pass over `tokens` that attend to `attended` tokens in all; ValueError outside the range."""
        line = self.line(tokens, attended)
        return line.base + line.slope * attended

    def line(self, tokens: int, attended: float) -> Line:
        """Seconds of a pass over `tokens` as a function of the tokens attended to; ValueError outside the range."""
        try:
            line = self._lines[tokens]
        except KeyError:
            if not 1 <= tokens <= self.knots[-1] * self.extrapolation:
                raise self._outside(tokens, attended) from None
            line = self._lines[tokens] = self._interpolated(tokens)
        if not 0 <= attended <= line.until:
            raise self._outside(tokens, attended)
        return line

    def _interpolated(self, tokens: int) -> Line:
        knots, base, slope = self.knots, self.base, self.slope
        right = min(bisect_right(knots, tokens), len(knots) - 1) or 1
        left = right - 1
        share = (tokens - knots[left]) / (knots[right] - knots[left])
        fixed = base[left] + share * (base[right] - base[left])
        price = slope[left] + share * (slope[right] - slope[left])
        return Line(max(0.0, fixed), max(0.0, price) / tokens, until=tokens * self.max_context * self.extrapolation)

    def scaled(self, factor: float) -> Curve:
        """The curve of a device that takes `factor` times as long."""
        base, slope = (tuple(factor * value for value in values) for values in (self.base, self.slope))
        return replace(self, name=f"{self.name} times {factor:g}", base=base, slope=slope)

    def intercept(self) -> float:
        """Seconds that a pass costs before its first token and without context: `base` continued to zero tokens.

        Where `base` falls, the least that comes after counts: more rows cost no less, only some numbers of them more.
        """
        left, right = self.knots[:2]
        low, high = min(self.base), min(self.base[1:])
        return max(0.0, low - (high - low) * left / (right - left))

    def _outside(self, tokens: int, attended: float) -> ValueError:
        context = f" with a mean context of {attended / tokens:.6g}" if tokens else ""
        return ValueError(
            f"{self.name}: asked for {tokens} tokens{context}; measured from {self.knots[0]} to {self.knots[-1]} "
            f"tokens and up to a mean context of {self.max_context:.6g}, answered from 1 token and up to "
            f"{self.extrapolation:g} times that"
        )
