"""A device running a model, as the sum of the kernels that were measured on it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from profiles.collective import Exchange, check_devices
from profiles.experts import Experts
from profiles.kernel_tables import Grid, UnmeasuredError, read_attention, read_layers, total
from profiles.point import chunk
from profiles.profile import kv_capacity
from profiles.skew import read_skew
from sim.step import Line, Step

TWICE = ("layernorm",)  # before attention and before the feed-forward part of each layer
ONCE = ("embedding", "final_layernorm")
EACH = ("qkv_proj", "qk_norm", "rotary_emb", "o_proj", "gate_up_proj", "act_fn", "down_proj")  # once in each layer
PER_SEQUENCE = ("lm_head", "sampler")
FEED_FORWARD = "down_proj"  # of a layer without experts
PARTS = 4  # an uneven batch is priced at so many places from one measured context to the next


@dataclass(frozen=True)
class KernelProfile:
    """What `model` costs on `device`, kernel by kernel; implements `sim.step.Profile`.

    A step takes `layers` times `attention`, `dense` for its tokens and `sequences` for its jobs. The grids are linear
    between what was measured, and a step beyond them is a ValueError. What passes beside the kernels is none of it.
    The measured rows have one prompt chunk a step. Where several share a step, they count as the one chunk that asks
    for as much attention (`chunk`). What decoding jobs cost beyond as many that all have the mean context is `skew`, a
    factor on attention (`profiles.skew`); without it they count as if all had. `experts` is a layer's mixture by tokens
    (`profiles.experts`), if it has one.
    """

    model: str
    device: str
    kind: str
    layers: int
    attention: Grid = field(repr=False)
    dense: Grid = field(repr=False)
    sequences: Grid = field(repr=False)
    skew: Grid | None = field(repr=False)
    experts: Grid | None = field(repr=False)
    kv_bytes_per_token: int
    move_bytes_per_second: float
    kv_capacity_tokens: int
    max_model_len: int
    provenance: Mapping[str, Any] = field(repr=False, hash=False)
    _untils: ClassVar[dict[int, list[float]]]  # each profile's own: where its lines end, by jobs

    def __post_init__(self) -> None:
        for name in ("layers", "kv_bytes_per_token", "move_bytes_per_second", "kv_capacity_tokens", "max_model_len"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.model} on {self.device}: {name} must be positive, got {getattr(self, name)}")
        object.__setattr__(self, "_untils", {})

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; an empty step takes none; ValueError outside the measured range."""
        prefill_tokens, attended, jobs, context, moved_tokens, prompts, longest, rank_tokens, *_ = step
        seconds = moved_tokens * self.kv_bytes_per_token / self.move_bytes_per_second
        if self.experts is not None and rank_tokens:  # they work on what all ranks send them
            own, all_ranks = self.experts.at(prefill_tokens + jobs), self.experts.at(rank_tokens)
            seconds += self.layers * (all_ranks - own)
        if prefill_tokens:
            new, computed = chunk(prefill_tokens, attended)
            attention = self._attention(new, jobs, computed, context, max(0, jobs * longest - context))
            # the head is taken of every sequence in the step, also of a prompt that is not through
            return seconds + self.layers * attention + self._rest(prefill_tokens + jobs, jobs + (prompts or 1))
        if jobs:
            line = self.decode_line(jobs, context, longest)
            seconds += line.base + line.slope * context
        return seconds

    @property
    def uneven(self) -> bool:
        """Whether it asks for the longest of the decoding jobs' contexts."""
        return self.skew is not None

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context, as `step_time` gives them.

        From knot to knot it is linear; where the measurements of uneven batches fall it stays as it is.
        """
        untils = self._untils.get(jobs)
        if untils is None:
            untils = self._untils[jobs] = self._knots(jobs)
        at = bisect_left(untils, context)
        if at == len(untils):
            raise UnmeasuredError(
                "kv_decode",
                f"{self.model} on {self.device}: {jobs} jobs of {context / jobs:.6g} tokens each on average; "
                f"attention was measured up to {untils[-1] / jobs:g}",
            )
        spare = max(0, jobs * longest - context)
        until = untils[at]
        seconds = self._decode(jobs, until, spare)
        if at == 0:
            return Line(seconds, 0.0, until)
        since = untils[at - 1]
        first = self._decode(jobs, since, spare)
        slope = max(0.0, (seconds - first) / (until - since))
        return Line(first - slope * since, slope, until, since)

    def _knots(self, jobs: int) -> list[float]:
        """Total contexts of `jobs` between which a decode step's time is linear."""
        alone = self.attention.parts[0]
        assert isinstance(alone, Grid)  # no prompt: by jobs, then by contexts
        beside = [part.last_knots() for part, _ in alone.around(jobs) if isinstance(part, Grid)]
        knots = sorted(knot for knot in set().union(*beside) if knot <= min(map(max, beside)))
        if self.skew is None:
            return [jobs * knot for knot in knots]
        between = [since + (until - since) * part / PARTS for since, until in pairwise(knots) for part in range(PARTS)]
        return [jobs * knot for knot in (*between, knots[-1])]

    def _decode(self, jobs: int, context: float, spare: float) -> float:
        """Seconds of a decode step of `jobs` that fall short of all being as long as the longest by `spare` tokens."""
        return self.layers * self._attention(0.0, jobs, 0.0, context, spare) + self._rest(jobs, jobs)

    def _attention(self, new: float, jobs: int, computed: float, context: float, spare: float) -> float:
        """Seconds of one layer's attention: a chunk of `new` tokens after `computed`, and jobs as in `_decode`."""
        mean = context / jobs if jobs else 0.0
        seconds = self.attention.at(new, jobs, computed, mean)
        if self.skew is not None and jobs:
            seconds *= self.skew.at(new, jobs, computed, 1 + spare / context, mean)
        return seconds

    def _rest(self, tokens: int, sequences: int) -> float:
        """Seconds of a step over so many tokens of so many sequences, without attention."""
        seconds = self.dense.at(tokens) + self.sequences.at(sequences)
        return seconds if self.experts is None else seconds + self.layers * self.experts.at(tokens)


def load(
    attention: str | Path,
    dense: str | Path,
    per_sequence: str | Path,
    skew: str | Path | None = None,
    *,
    experts: Experts | None = None,
    model: str,
    device: str,
    layers: int,
    kv_bytes_per_token: int,
    weight_bytes: int,
    memory_bytes: int,
    memory_utilization: float,
    move_bytes_per_second: float,
    source: str,
    all_reduce: Exchange | None = None,
) -> KernelProfile:
    """The profile in the csv files (see `profiles.kernel_tables`); ValueError names file, line and value.

    Tables of one of several devices that share the model, `_tpN` in their names, need what these exchange in
    `all_reduce`, for no kernel table has it. `kv_bytes_per_token`, `weight_bytes` and memory are then of that one.

    The KV cache is what `memory_utilization` of `memory_bytes` leaves beside the weights; no request may be longer than
    the longest context that was measured. `source` goes into the provenance. Without `skew` all
    decoding jobs count as of the mean context.
    """
    check_devices((attention, dense, per_sequence), all_reduce)
    grid = read_attention(Path(attention))
    if grid.knots[0] != 0:
        raise ValueError(f"{attention}: no row with prefill_chunk 0, so nothing says what decoding alone takes")
    times = dict.fromkeys(TWICE, 2 * layers) | dict.fromkeys(ONCE, 1)
    layers_by_token = read_layers(Path(dense), "tokens", (*TWICE, *ONCE), EACH)
    if experts is None and FEED_FORWARD not in layers_by_token:
        raise ValueError(f"{dense}: no row of layer {FEED_FORWARD}; of a mixture give `experts` (profiles.experts)")
    by_token = total(layers_by_token, times, layers)
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
        experts=None if experts is None else experts.grid(),
        skew=None if skew is None else read_skew(Path(skew), grid),
        kv_bytes_per_token=kv_bytes_per_token,
        move_bytes_per_second=move_bytes_per_second,
        kv_capacity_tokens=kv_capacity(memory_bytes, weight_bytes, kv_bytes_per_token, memory_utilization),
        max_model_len=int(max(grid.last_knots())),
        provenance={"source": source},
    )
