"""A device running a model, as the sum of the kernels that were measured on it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from profiles.collective import Exchange, check_devices
from profiles.kernel_tables import Grid, read_attention, read_layers, total
from profiles.profile import kv_capacity
from sim.step import Line, Step

TWICE = ("layernorm",)  # before attention and before the feed-forward part of each layer
ONCE = ("embedding", "final_layernorm")
PER_SEQUENCE = ("lm_head", "sampler")


@dataclass(frozen=True)
class KernelProfile:
    """What `model` costs on `device`, kernel by kernel; implements `sim.step.Profile`.

    A step takes `layers` times `attention`, `dense` for its tokens, `sequences` for its jobs, and `host_seconds`: what
    passes between the kernels. The grids are linear between what was measured, and a step beyond them is a ValueError.
    The measured rows have one prompt chunk a step. Where several share a step, they count as the one chunk that asks
    for as much attention (`chunk`); the decoding jobs count as if all had the mean context.
    """

    model: str
    device: str
    kind: str
    layers: int
    attention: Grid = field(repr=False)
    dense: Grid = field(repr=False)
    sequences: Grid = field(repr=False)
    host_seconds: float
    kv_bytes_per_token: int
    move_bytes_per_second: float
    kv_capacity_tokens: int
    max_model_len: int
    provenance: Mapping[str, Any] = field(repr=False, hash=False)
    _lines: ClassVar[dict[int, tuple[list[float], list[Line]]]]  # each profile's own, by jobs: untils and lines

    def __post_init__(self) -> None:
        for name in ("layers", "kv_bytes_per_token", "move_bytes_per_second", "kv_capacity_tokens", "max_model_len"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.model} on {self.device}: {name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.host_seconds < math.inf:
            raise ValueError(f"{self.model} on {self.device}: host_seconds must be from 0 on, got {self.host_seconds}")
        object.__setattr__(self, "_lines", {})

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; an empty step takes none; ValueError outside the measured range."""
        prefill_tokens, attended, jobs, context, moved_tokens = step
        seconds = moved_tokens * self.kv_bytes_per_token / self.move_bytes_per_second
        if prefill_tokens:
            new, computed = chunk(prefill_tokens, attended)
            attention = self.attention.at(new, jobs, computed, context / jobs if jobs else 0.0)
            # the head is taken of every sequence in the step, also of a prompt that is not through
            return seconds + self.layers * attention + self._rest(prefill_tokens + jobs, jobs + 1)
        if jobs:
            line = self.decode_line(jobs, context)
            seconds += line.base + line.slope * context
        return seconds

    def decode_line(self, jobs: int, context: int) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context, as `step_time` gives them."""
        lines = self._lines.get(jobs)
        if lines is None:
            lines = self._lines[jobs] = self._decode_lines(jobs)
        untils, found = lines
        at = bisect_left(untils, context)
        if at == len(untils):
            raise ValueError(
                f"{self.model} on {self.device}: {jobs} jobs of {context / jobs:.6g} tokens each on average; "
                f"attention was measured up to {untils[-1] / jobs:g}"
            )
        return found[at]

    def _decode_lines(self, jobs: int) -> tuple[list[float], list[Line]]:
        """The pieces of a decode step's time: attention is linear in the mean context from knot to knot."""
        alone = self.attention.parts[0]
        assert isinstance(alone, Grid)  # no prompt: by jobs, then by contexts
        beside = [part.last_knots() for part, _ in alone.around(jobs) if isinstance(part, Grid)]
        knots = sorted(knot for knot in set().union(*beside) if knot <= min(map(max, beside)))
        rest = self._rest(jobs, jobs)
        seconds = [self.layers * alone.at(jobs, 0.0, knot) + rest for knot in knots]
        untils, lines = [jobs * knots[0]], [Line(seconds[0], 0.0, until=jobs * knots[0])]
        for at in range(1, len(knots)):
            since, until = jobs * knots[at - 1], jobs * knots[at]
            slope = (seconds[at] - seconds[at - 1]) / (until - since)
            untils.append(until)
            lines.append(Line(seconds[at - 1] - slope * since, slope, until, since))
        return untils, lines

    def _rest(self, tokens: int, sequences: int) -> float:
        """Seconds of a step over so many tokens of so many sequences, without attention."""
        return self.dense.at(tokens) + self.sequences.at(sequences) + self.host_seconds


def chunk(tokens: int, attended: int) -> tuple[float, float]:
    """The one prompt chunk, as new tokens and tokens before them, that stands for `tokens` that attend to `attended`.

    `tokens` of one prompt attend to tokens * computed + tokens * (tokens + 1) / 2. Several prompts from their start
    attend to less: the chunk is then one from its start with as much to attend to, and shorter than they are together.
    """
    alone = tokens * (tokens + 1) / 2
    if attended >= alone:
        return tokens, (attended - alone) / tokens
    return (math.sqrt(8 * attended + 1) - 1) / 2, 0.0


def load(
    attention: str | Path,
    dense: str | Path,
    per_sequence: str | Path,
    *,
    model: str,
    device: str,
    layers: int,
    host_seconds: float,
    kv_bytes_per_token: int,
    weight_bytes: int,
    memory_bytes: int,
    memory_utilization: float,
    move_bytes_per_second: float,
    source: str,
    all_reduce: Exchange | None = None,
) -> KernelProfile:
    """The profile in the three csv files (see `profiles.kernel_tables`); ValueError names file, line and value.

    Tables of one of several devices that share the model, `_tpN` in their names, need what these exchange in
    `all_reduce`, for no kernel table has it. `kv_bytes_per_token`, `weight_bytes` and memory are then of that one.

    The KV cache is what `memory_utilization` of `memory_bytes` leaves beside the weights; no request may be longer than
    the longest context that was measured. `source` goes into the provenance.
    """
    check_devices((attention, dense, per_sequence), all_reduce)
    grid = read_attention(Path(attention))
    if grid.knots[0] != 0:
        raise ValueError(f"{attention}: no row with prefill_chunk 0, so nothing says what decoding alone takes")
    times = dict.fromkeys(TWICE, 2 * layers) | dict.fromkeys(ONCE, 1)
    by_token = total(read_layers(Path(dense), "tokens", (*TWICE, *ONCE)), times, layers)
    by_sequence = total(read_layers(Path(per_sequence), "sequences", PER_SEQUENCE), {}, 1)
    if all_reduce:
        by_token = by_token.plus(lambda tokens: all_reduce.token_seconds(tokens, layers))
        by_sequence = by_sequence.plus(all_reduce.sequence_seconds)
    return KernelProfile(
        model=model,
        device=device,
        kind="imported",
        layers=layers,
        attention=grid,
        dense=by_token,
        sequences=by_sequence,
        host_seconds=host_seconds,
        kv_bytes_per_token=kv_bytes_per_token,
        move_bytes_per_second=move_bytes_per_second,
        kv_capacity_tokens=kv_capacity(memory_bytes, weight_bytes, kv_bytes_per_token, memory_utilization),
        max_model_len=int(max(grid.last_knots())),
        provenance={"source": source, "host_seconds": host_seconds},
    )
