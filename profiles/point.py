"""One configuration to time: so many sequences, each given so many new tokens on top of so much KV."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sim.step import attended_tokens

PHASES = ("prefill", "decode")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A forward pass over `batch` sequences: `new` tokens for each, whose `computed` tokens stand in the KV cache."""

    phase: str
    batch: int
    new: int
    computed: int

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"phase must be one of {PHASES}, got {self.phase!r}")
        if self.batch < 1 or self.new < 1 or self.computed < 0:
            raise ValueError(f"batch and new must be positive and computed not negative, got {self}")

    @property
    def tokens(self) -> int:
        """New tokens of the pass; for decode, the jobs."""
        return self.batch * self.new

    @property
    def attended(self) -> int:
        """Context tokens that the new tokens attend to, in all."""
        return self.batch * attended_tokens(self.new, self.computed)


@dataclass(frozen=True, slots=True, order=True)
class WindowedPoint(Point):
    """A pass whose tokens attend to the last `window` tokens at most, themselves included."""

    window: int

    @property
    def attended(self) -> int:
        """Context tokens that the new tokens attend to, in all."""
        return self.batch * round(windowed_tokens(self.new, self.computed, self.window))


def within(point: Point, window: int) -> Point:
    """`point` as layers see it that attend to a `window`: what lies before it is not read."""
    if point.computed + point.new <= window:
        return point
    return WindowedPoint(point.phase, point.batch, point.new, min(point.computed, window - 1), window)


def windowed_tokens(new: float, computed: float, window: int) -> float:
    """`attended_tokens` where each token attends to the last `window` at most."""
    computed = min(computed, window - 1)
    below = min(new, window - computed)
    return below * computed + below * (below + 1) / 2 + (new - below) * window


def chunk(tokens: int, attended: float) -> tuple[float, float]:
    """The one prompt chunk, as new tokens and tokens before them, that stands for `tokens` that attend to `attended`.

    `tokens` of one prompt attend to tokens * computed + tokens * (tokens + 1) / 2. Several prompts from their start
    attend to less: the chunk is then one from its start with as much to attend to, and shorter than they are together.
    """
    alone = tokens * (tokens + 1) / 2
    if attended >= alone:
        return tokens, (attended - alone) / tokens
    return (math.sqrt(8 * attended + 1) - 1) / 2, 0.0


def prefill_point(batch: int, new: int, computed: int = 0) -> Point:
    """A prompt, or a chunk of one after `computed` tokens."""
    return Point("prefill", batch, new, computed)


def decode_point(batch: int, context: int) -> Point:
    """One decode step of `batch` jobs of `context` tokens each, the new one included."""
    return Point("decode", batch, 1, context - 1)


def grid_points(grid: Any, max_model_len: int, max_prompt: int | None = None) -> list[Point]:
    """The points of a grid config (see conf/grid) that fit `max_model_len` and the grid's own limits.

    Prefill is batch x new, and chunk x computed (a prompt's next tokens, after those in the KV cache), within
    `max_prefill_tokens` new tokens; decode is batch x context within `max_decode_context` tokens in all. What would be
    longer than `max_model_len` or the grid's `max_context` becomes that long. With `max_prompt`, prompts are that long
    at most and come whole, as an encoder reads them.
    """
    limit = min(max_model_len, grid.max_context)
    lengths = sorted({min(new, limit, max_prompt or limit) for new in grid.prefill.new})
    contexts = sorted({min(context, limit) for context in grid.decode.context})
    prefill = [prefill_point(b, n) for b in grid.prefill.batch for n in lengths]
    pairs = ((new, min(computed, limit - new)) for new in grid.prefill.chunk for computed in grid.prefill.computed)
    if max_prompt is None:
        prefill += [prefill_point(1, new, computed) for new, computed in pairs if computed > 0]
    decode = [decode_point(b, context) for b in grid.decode.batch for context in contexts]
    kept = {point for point in prefill if point.tokens <= grid.max_prefill_tokens}
    kept |= {point for point in decode if point.attended <= grid.max_decode_context}
    return sorted(kept)


def as_row(point: Point) -> dict[str, Any]:
    """The point as a table row."""
    return asdict(point)
