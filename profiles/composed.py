"""A device running a model, as the sum of its operators by a datasheet: no grid, no fit, any length and any encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from profiles.devices import settings, sheet_of
from profiles.operators.architecture import Architecture
from profiles.operators.counts import Flops
from profiles.operators.decoder import layers_seconds, self_attention
from profiles.operators.encoder_decoder import EncoderTimes, full_attention
from profiles.operators.huggingface import sizes_of
from profiles.operators.layers import operator_costs
from profiles.operators.roofline import ELEMENT_BYTES, WEIGHT_BYTES, Device, Launching, Roofline
from profiles.operators.tensor_parallel import reduce_seconds
from profiles.point import Point, chunk, decode_point, prefill_point
from profiles.profile import kv_capacity
from sim.step import Line, Step

CONTEXTS = 9  # at which a generation's costs are taken, and joined by straight lines


@dataclass(frozen=True)
class Composed:
    """What `model` costs on `device`; implements `sim.step.Profile`.

    A step is the host's constant, the embedding, the layers and the head, as in `profiles.analytic`, over all of its
    tokens at once: prompts and decoding jobs share the products. What only encodes has no head. `counted` is how FLOPs
    are told in `account`, and `apart` whether queries, keys and values are three products there. `sizes` are those of
    one of `devices` that share the model, whose all-reduces a step waits for; bytes and tokens are those of all.
    """

    model: str
    device: str
    kind: str
    sizes: Architecture
    sheet: Device
    dtype: str
    weights: str | None
    launching: Launching
    weight_bytes: int
    kv_bytes_per_token: int
    move_bytes_per_second: float
    kv_capacity_tokens: int
    max_model_len: int
    provenance: Mapping[str, Any] = field(repr=False)
    working_bytes: float = 0.0
    devices: int = 1
    counted: Flops = field(default_factory=Flops)
    apart: bool = True
    uneven: ClassVar[bool] = False  # of the jobs' contexts the sum is enough
    held: ClassVar[frozenset[str]] = frozenset({"weight_bytes", "kv_bytes", "device_bytes"})  # of what `account` says
    times: ClassVar[Roofline]  # each one's own, made of its fields

    def __post_init__(self) -> None:
        if self.sizes.layers and self.sizes.encoder_layers:
            raise ValueError(f"{self.model} is an encoder-decoder: make its profile by tokenyard profile analytic")
        if not self.working_bytes >= 0:
            raise ValueError(f"working_bytes must not be negative, got {self.working_bytes}")
        object.__setattr__(self, "times", Roofline(self.sheet, self.dtype, self.launching, self.weights))

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; an empty step takes none; ValueError for a decode step of what only encodes."""
        tokens, attended, jobs, context, moved, prompts, *_ = step
        seconds = moved * self.kv_bytes_per_token / self.move_bytes_per_second
        if tokens:
            attention = self.prompt_attention(tokens, attended)
            if jobs:
                line = self.attention_line(jobs, context)
                attention += line.base + line.slope * context
            return seconds + self.rest(tokens + jobs, jobs + (prompts or 1), attention)
        if jobs:
            line = self.decode_line(jobs, context)
            seconds += line.base + line.slope * context
        return seconds

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context, as `step_time` gives them."""
        return over_layers(self, self.attention_line(jobs, context), jobs)

    def prompt_attention(self, tokens: int, attended: int) -> float:
        """Seconds of one layer's attention over `tokens` of prompts that attend to `attended` in all.

        Several prompts count as the one chunk with as much to attend to (`profiles.kernel_profile.chunk`).
        """
        if self.sizes.only_encodes:
            length = round(
                math.sqrt(2 * attended - tokens)
            )  # the squares of all prompts' lengths, if there are several
            return full_attention(self.sizes, self.times, prefill_point(1, length))
        new, computed = chunk(tokens, attended)
        return self_attention(self.sizes, self.times, prefill_point(1, max(1, round(new)), round(computed)))

    def attention_line(self, jobs: int, context: int) -> Line:
        """Seconds of one layer's attention in a decode step by its total context, around `context`.

        It is the slowest of computing, moving and dispatching, each of which is linear, and so is softmax's.
        """
        if self.sizes.only_encodes:
            raise ValueError(f"{self.model} only encodes: it generates nothing, got {jobs} decoding jobs")
        parts = [(0.0, 0.0)]
        for taken in self.times.generation_parts(jobs, self.sizes):
            parts = [(base + more, slope + rising) for base, slope in parts for more, rising in taken]
        if not self.sizes.windowed_layers:
            return slowest(parts, context)
        return mean_line(parts, context, jobs * self.sizes.window, self.sizes.windowed_layers / self.sizes.layers)

    def rest(self, rows: int, sequences: int, attention: float) -> float:
        """Seconds of a step over so many rows of so many sequences, with so much attention in each layer."""
        sizes, times = self.sizes, self.times
        layers = layers_seconds(sizes, times, rows, attention, sizes.layers + sizes.encoder_layers)
        embedding = times.gemm(rows, sizes.hidden, sizes.patch) if sizes.patch else times.embedding(rows, sizes)
        head = 0.0 if sizes.only_encodes else times.gemm(sequences, sizes.vocabulary, sizes.hidden)
        reducing = reduce_seconds(sizes, times, prefill_point(1, rows), self.devices)
        return self.launching.host_seconds + embedding + layers + head + reducing

    def account(self, prompt_tokens: int, output_tokens: int) -> dict[str, float]:
        """What a request alone takes in the layers: flops, elements and seconds, in all and by kind of operator.

        The first token of its answer comes with the prompt. `weight_bytes` are what the model holds, `kv_bytes` what
        the request does at its end.
        """
        totals: dict[str, float] = {"weight_bytes": self.weight_bytes}
        totals["kv_bytes"] = self.kv_bytes_per_token * (prompt_tokens + output_tokens - 1)
        totals["device_bytes"] = totals["weight_bytes"] + totals["kv_bytes"] + self.working_bytes
        sources: dict[str, EncoderTimes] = {
            "flops": self.counted,
            "elements": self.times.elements,
            "seconds": self.times,
        }
        for name, source in sources.items():
            cost = request_costs(self.sizes, source, prompt_tokens, output_tokens, self.apart)
            if name != "seconds" and self.devices > 1:
                cost = {kind: self.devices * value for kind, value in cost.items()}
            totals[name] = sum(cost.values())
            totals |= {f"{name}.{kind}": value for kind, value in cost.items()}
        totals["bytes"] = totals["elements"] * ELEMENT_BYTES[self.dtype]
        return totals


def request_costs(
    sizes: Architecture, source: EncoderTimes, prompt_tokens: int, output_tokens: int, apart: bool
) -> dict[str, float]:
    """What the kinds of operators cost over a request by `source`: its prompt, and each token after the first."""

    def at(point: Point) -> dict[str, float]:
        return operator_costs(sizes, source, point, apart)

    cost = at(prefill_point(1, prompt_tokens))
    if steps := output_tokens - 1:
        contexts = np.unique(np.linspace(prompt_tokens + 1, prompt_tokens + steps, CONTEXTS).round().astype(int))
        rows = [at(decode_point(1, int(context))) for context in contexts]
        for kind in cost:
            values = [row[kind] for row in rows]
            mean = np.trapezoid(values, contexts) / (contexts[-1] - contexts[0]) if len(contexts) > 1 else values[0]
            cost[kind] += steps * float(mean)
    return cost


def slowest(parts: list[tuple[float, float]], context: float) -> Line:
    """The part, a base and a slope by context, that takes longest at `context`, and between which contexts it does."""
    base, slope = max(parts, key=lambda part: (part[0] + part[1] * context, part[1]))
    since, until = 0.0, math.inf
    for other, rising in parts:
        if rising != slope:
            crossing = (other - base) / (slope - rising)
            if rising > slope:
                until = min(until, crossing)
            else:
                since = max(since, crossing)
    return Line(base, slope, until, since)


def mean_line(parts: list[tuple[float, float]], context: int, most: int, share: float) -> Line:
    """The mean over layers, a `share` of which see `most` of the context, of what takes longest at each."""
    full, near = slowest(parts, context), slowest(parts, min(context, most))
    if context > most:
        near = Line(near.base + near.slope * most, 0.0, math.inf, most)
    base, slope = (
        value + share * (other - value) for value, other in ((full.base, near.base), (full.slope, near.slope))
    )
    until = min(full.until, near.until if context > most else min(near.until, most))
    return Line(base, slope, until, max(full.since, near.since))


def over_layers(profile: Composed, line: Line, jobs: int) -> Line:
    """The decode step of so many jobs whose attention in each layer takes `line`."""
    return replace(line, base=profile.rest(jobs, jobs, line.base), slope=profile.sizes.layers * line.slope)


def composed(
    model: str,
    device: str,
    dtype: str,
    launching: str,
    weights: str | None = None,
    *,
    utilization: float = 0.9,
    max_model_len: int | None = None,
    working_bytes: float = 0.0,
    tensor_parallelism: int = 1,
    ignored: Sequence[str] = (),
    sheet: Mapping[str, Any] | None = None,
    launched: Mapping[str, float] | None = None,
    counted: Flops | None = None,
    apart: bool = True,
) -> Composed:
    """The profile of `model` on the datasheet of `device`, launched as `launching` says (profiles/conf/analytic).

    `device` may be the path of a yaml of one's own. `sheet` and `launched` replace some of their values. Weights lie
    there as `weights` (None: in `dtype`). `utilization` of the memory is for weights, KV and `working_bytes` of
    activations; what only encodes keeps no KV, and holds its tokens' hidden states. No request may be longer than
    `max_model_len` (None: the model's own). `model` is known here or the path of its config.json, of which fields are
    `ignored` (`sizes_of`).
    """
    if not 0 < utilization <= 1:
        raise ValueError(f"utilization must be above 0 and at most 1, got {utilization}")
    name, whole = sizes_of(model, ignored)
    sizes = whole.sharded(tensor_parallelism) if tensor_parallelism != 1 else whole
    known = replace(sheet_of(device), **(sheet or {}))
    way = replace(Launching(**settings("launching", launching)), **(launched or {}))
    Roofline(known, dtype, way, weights)  # says what is wrong with them
    each = ELEMENT_BYTES[dtype]
    held = each * (sizes.hidden if sizes.only_encodes else sizes.kv_bytes_per_token(1))
    weight_bytes = math.ceil(WEIGHT_BYTES[weights or dtype] * sizes.parameter_count)
    suffix = f"_tp{tensor_parallelism}" if tensor_parallelism > 1 else ""
    room = kv_capacity(known.memory_bytes, weight_bytes + round(working_bytes), held, utilization)
    return Composed(
        model=name,
        device=f"{Path(device).stem}{suffix}",
        kind="analytic",
        sizes=sizes,
        sheet=known,
        dtype=dtype,
        weights=weights,
        launching=way,
        weight_bytes=tensor_parallelism * weight_bytes,
        kv_bytes_per_token=tensor_parallelism * held,
        move_bytes_per_second=tensor_parallelism * known.move_bytes_per_second,
        kv_capacity_tokens=room,
        max_model_len=max_model_len or sizes.max_prompt,
        provenance={"source": "operation counts (arXiv 2302.14017) over a datasheet", "datasheet": known.name},
        working_bytes=working_bytes,
        devices=tensor_parallelism,
        counted=counted or Flops(),
        apart=apart,
    )
