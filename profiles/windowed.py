"""A model whose tokens attend to a window and to units that are looked up, the rest of their KV being on the host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from profiles.composed import Composed, composed, over_layers, slowest
from profiles.operators.decoder import self_attention
from profiles.operators.roofline import ELEMENT_BYTES
from profiles.point import chunk, prefill_point
from sim.link import Link
from sim.step import Line, Step


@dataclass(frozen=True, slots=True)
class Windows:
    """InfLLM's context memory (arXiv 2402.04617); all in tokens, but `looked_up` and `cached` in units.

    A token attends to the `initial` tokens, to the `local` ones before it, and to `looked_up` units of `unit` tokens of
    all between, which are evicted to the host. They are looked up once for a `block` of a prompt and once a decode
    step, by `representatives` of each unit, which stay on the device, as does a cache of so many `cached` units. Those
    that are not in it, a `miss_rate` of the units looked up once there are more than the cache holds, come over the
    link. Prompts are computed `chunk` tokens at a time.
    """

    initial: int
    local: int
    unit: int
    looked_up: int
    cached: int
    representatives: int
    block: int
    chunk: int
    miss_rate: float

    def __post_init__(self) -> None:
        for name in ("initial", "local", "unit", "looked_up", "cached", "representatives", "block", "chunk"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"windows.{name} must be at least 1, got {getattr(self, name)}")
        if self.cached < self.looked_up:
            raise ValueError(f"windows.cached must hold the {self.looked_up} units of a lookup, got {self.cached}")
        if self.representatives > self.unit:
            raise ValueError(f"windows.representatives must be of a unit's {self.unit}, got {self.representatives}")
        if not 0 <= self.miss_rate <= 1:
            raise ValueError(f"windows.miss_rate must be from 0 to 1, got {self.miss_rate}")

    @property
    def near(self) -> int:
        """Tokens that are never evicted."""
        return self.initial + self.local

    @property
    def most(self) -> int:
        """Tokens that a token attends to at most."""
        return self.near + self.looked_up * self.unit

    def units(self, context: float) -> float:
        """Units that are evicted at so much context."""
        return max(0.0, context - self.near) / self.unit

    def missed(self, context: float) -> float:
        """Units that a lookup at so much context moves to the device."""
        return self.miss_rate * self.looked_up if self.units(context) > self.cached else 0.0


@dataclass(frozen=True)
class Windowed:
    """What `base`'s model costs with `windows`, whose units come over `link`; implements `sim.step.Profile`.

    Copies go on beside the step if they are `overlapped`, which then takes the longer of both, else before it. All KV
    has its place in `host_bytes` of the host's memory, so that is what `kv_capacity_tokens` are of; a request holds its
    windows on the device (`account`), and only so many at a time have room there: give the batching `max_num_seqs`.
    """

    base: Composed
    windows: Windows
    link: Link
    overlapped: bool
    host_bytes: int
    max_model_len: int
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    uneven: ClassVar[bool] = False  # contexts count as if they were all alike
    _near: ClassVar[dict[tuple[int, int], float]]  # each one's own: seconds of a block's attention, by its window
    held: ClassVar[frozenset[str]] = frozenset(
        {
            "weight_bytes",
            "kv_bytes",
            "window_bytes",
            "representative_bytes",
            "device_bytes",
            "host_bytes",
            "attended_tokens",
        }
    )

    def __post_init__(self) -> None:
        if not self.host_bytes >= self.kv_bytes_per_token:
            raise ValueError(f"host_bytes must hold a token's KV, got {self.host_bytes}")
        if self.base.sizes.only_encodes:
            raise ValueError(f"{self.base.model} only encodes: there is no KV to look up")
        object.__setattr__(self, "_near", {})

    @property
    def model(self) -> str:
        """The base's."""
        return self.base.model

    @property
    def device(self) -> str:
        """What results call it: the base's, windowed."""
        return f"{self.base.device}_windowed"

    @property
    def kind(self) -> str:
        """The base's."""
        return self.base.kind

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of one token's KV, over all layers."""
        return self.base.kv_bytes_per_token

    @property
    def move_bytes_per_second(self) -> float:
        """Of KV between device and host."""
        return self.link.bytes_per_second

    @property
    def kv_capacity_tokens(self) -> int:
        """Tokens of KV that the host holds."""
        return self.host_bytes // self.kv_bytes_per_token

    @property
    def most_requests(self) -> int:
        """Whose windows have room on the device at a time, beside weights and activations."""
        windows = self.windows
        tokens = windows.near + windows.unit + windows.block + windows.cached * windows.unit
        return self.base.kv_capacity_tokens // tokens

    @property
    def representative_bytes_per_unit(self) -> int:
        """Bytes of the keys that stand for a unit, one for each query head, over all layers."""
        sizes = self.base.sizes
        each = ELEMENT_BYTES[self.base.dtype]
        return self.windows.representatives * sizes.layers * sizes.heads * sizes.head_dim * each

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; an empty step takes none. Prompts are priced one after another, in chunks."""
        tokens, attended, jobs, context, *_ = step
        seconds = 0.0
        if tokens:
            new, computed = chunk(tokens, attended)
            seconds += self.prompt_seconds(max(1, round(new)), round(computed))
        if jobs:
            line = self.decode_line(jobs, context)
            seconds += line.base + line.slope * context
        return seconds

    def prompt_seconds(self, new: int, computed: int) -> float:
        """Seconds of `new` tokens of a prompt after `computed` ones: chunks, and in them blocks with a lookup each."""
        seconds, end = 0.0, computed + new
        for start in range(computed, end, self.windows.chunk):
            rows = min(self.windows.chunk, end - start)
            attention = copying = 0.0
            for first in range(start, start + rows, self.windows.block):
                block = min(self.windows.block, start + rows - first)
                more, copied = self._block(block, first)
                attention, copying = attention + more, copying + copied
            seconds += self._with_copies(self.base.rest(rows, 1, attention), copying)
        return seconds

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context, as `step_time` gives them.

        It is linear between the contexts at which something is evicted, all of the window is filled, and the cache is.
        """
        windows, mean = self.windows, context / jobs
        ends = (0, windows.near, windows.most, windows.near + windows.cached * windows.unit, math.inf)
        since = max(end for end in ends if end < mean)
        until = min(end for end in ends if end >= mean)
        line = self.base.attention_line(jobs, round(jobs * min(mean, windows.most)))
        if mean > windows.most:
            line = Line(line.base + line.slope * jobs * windows.most, 0.0, math.inf)
        line = over_layers(self.base, line, jobs)
        first, slope = self._lookup_line(jobs, mean)
        since, until = max(jobs * since, line.since), min(jobs * until, line.until)
        parts = [(line.base + first, line.slope + slope)]
        copying = self._copy_seconds(jobs, jobs, mean)
        if not self.overlapped:
            parts = [(parts[0][0] + copying, parts[0][1])]
        elif copying:
            parts.append((copying, 0.0))
        line = slowest(parts, context)
        return Line(line.base, line.slope, min(until, line.until), max(since, line.since))

    def account(self, prompt_tokens: int, output_tokens: int) -> dict[str, float]:
        """What a request alone holds at its end and moves in all, bytes and tokens.

        On the device are `window_bytes` of KV (initial, local, cached units, and the block that is computed) and the
        representatives of all units, with weights and activations `device_bytes` in all; on the host all that was
        evicted. `moved_bytes` come to the device, of `lookups` by prompt blocks and steps.
        """
        windows, kv = self.windows, self.kv_bytes_per_token
        total = prompt_tokens + output_tokens - 1
        units = math.floor(windows.units(total))
        near = windows.near + windows.unit + windows.block
        window = kv * min(total, near + min(units, windows.cached) * windows.unit)
        representatives = units * self.representative_bytes_per_unit
        starts = range(0, prompt_tokens, windows.block)
        missed = sum(windows.missed(first) for first in starts)
        missed += sum(windows.missed(context) for context in range(prompt_tokens + 1, total + 1))
        return {
            "weight_bytes": self.base.weight_bytes,
            "kv_bytes": kv * total,
            "window_bytes": window,
            "representative_bytes": representatives,
            "device_bytes": self.base.weight_bytes + self.base.working_bytes + window + representatives,
            "host_bytes": kv * units * windows.unit,
            "moved_bytes": missed * windows.unit * kv,
            "lookups": len(starts) + output_tokens - 1,
            "attended_tokens": min(total, windows.most),
        }

    def _block(self, tokens: int, context: int) -> tuple[float, float]:
        """Seconds of one layer's attention of a block after so much context, and of the copies of its lookup."""
        base, seen = self.base, (tokens, min(context, self.windows.most))
        near = self._near.get(seen)
        if near is None:
            near = self._near[seen] = self_attention(base.sizes, base.times, prefill_point(1, *seen))
        first, slope = self._lookup_line(1, context)
        return near + (first + slope * context) / base.sizes.layers, self._copy_seconds(tokens, 1, context)

    def _lookup_line(self, jobs: int, mean: float) -> tuple[float, float]:
        """Base and slope by total context of reading the representatives of all units, over all layers."""
        windows, base = self.windows, self.base
        if mean <= windows.near:
            return 0.0, 0.0
        slope = self.representative_bytes_per_unit / windows.unit / base.times.bandwidth
        launches = base.sizes.layers * base.sheet.launch_seconds
        return launches - slope * jobs * windows.near, slope

    def _copy_seconds(self, tokens: int, lookups: int, context: float) -> float:
        """Seconds of copies after so much context, each way on its own: units of so many lookups in, `tokens` out."""
        if context <= self.windows.near:
            return 0.0
        coming = lookups * self.windows.missed(context) * self.windows.unit
        return self.link.seconds(max(coming, tokens) * self.kv_bytes_per_token)

    def _with_copies(self, computing: float, copying: float) -> float:
        return max(computing, copying) if self.overlapped else computing + copying


def windowed(
    model: str,
    device: str,
    dtype: str,
    launching: str,
    windows: Windows,
    link: Link,
    *,
    overlapped: bool,
    host_bytes: int,
    max_model_len: int,
    **others: Any,
) -> Windowed:
    """The `Windowed` of a model on a datasheet; `others` are those of `profiles.composed.composed`."""
    base = composed(model, device, dtype, launching, max_model_len=max_model_len, **others)
    return Windowed(
        base,
        windows,
        link,
        overlapped,
        host_bytes,
        max_model_len,
        {**base.provenance, "windows": "InfLLM (arXiv 2402.04617)"},
    )
