"""Operator times of a device by its datasheet: the slower of computing and moving bytes, and a launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profiles.experts import activated_share
from profiles.operators.architecture import Architecture
from profiles.operators.counts import Elements, Flops
from profiles.point import Point, decode_point

ELEMENT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
WEIGHT_BYTES = {**ELEMENT_BYTES, "q4_0": 18 / 32}  # llama.cpp's: 32 weights of 4 bits and a scale of 16


@dataclass(frozen=True, slots=True)
class Device:
    """A datasheet, and what share of it programs reach (see conf/analytic/device, which says where each is from).

    `flops_per_second` is the peak by dtype (dense); `bytes_per_second` is memory's; efficiencies are shares of a peak.
    `launch_seconds` is what each operator adds, and a product of more than one row goes over its weights
    `packing_passes` times more, where a library puts them into another order first. `link_bytes_per_second` is what a
    device sends to its peers, in one direction, and `link_seconds` what each exchange adds; `move_bytes_per_second` is
    to the host, in one direction. `reported_memory_bytes` is what the driver says that there is, and `collective`
    (bytes_per_second, start_seconds) a `profiles.collective.Ring` for measured kernels; None: nobody knows. Weights
    that layers share are read once a pass where they are no more than `cache_bytes`, the last cache's (0: never).
    """

    name: str
    memory_bytes: int
    flops_per_second: Mapping[str, float]
    bytes_per_second: float
    gemm_efficiency: float
    attention_efficiency: float
    memory_efficiency: float
    launch_seconds: float
    packing_passes: float
    link_bytes_per_second: float
    link_efficiency: float
    link_seconds: float
    move_bytes_per_second: float
    reported_memory_bytes: int | None = None
    collective: Mapping[str, float] | None = None
    cache_bytes: float = 0.0

    def __post_init__(self) -> None:
        for label in ("gemm_efficiency", "attention_efficiency", "memory_efficiency", "link_efficiency"):
            if not 0 < getattr(self, label) <= 1:
                raise ValueError(f"{self.name}: {label} must be above 0 and at most 1, got {getattr(self, label)}")
        for label in ("memory_bytes", "bytes_per_second", "link_bytes_per_second", "move_bytes_per_second"):
            if not getattr(self, label) > 0:
                raise ValueError(f"{self.name}: {label} must be positive, got {getattr(self, label)}")
        for label in ("launch_seconds", "packing_passes", "link_seconds", "cache_bytes"):
            if getattr(self, label) < 0:
                raise ValueError(f"{self.name}: {label} must not be negative, got {getattr(self, label)}")


@dataclass(frozen=True, slots=True)
class Launching:
    """How an engine runs operators (see conf/analytic/launching).

    `dispatch_seconds` is the host's work to send an operator to the device, which goes on while the device computes;
    `host_seconds` its work in each pass beside that. Each score of attention crosses memory `score_transfers` times: 0
    when it is fused; otherwise 2 for the two products, and 3 passes of softmax, or `softmax_passes` of a softmax that
    is an operator of its own. A decode step copies the KV of all its context `cache_copies` times, and element-wise
    operators go over their data `elementwise_passes` times.
    """

    dispatch_seconds: float = 0.0
    host_seconds: float = 0.0
    score_transfers: float = 0.0
    cache_copies: float = 0.0
    elementwise_passes: float = 1.0
    softmax_passes: float = 0.0

    def __post_init__(self) -> None:
        for label in self.__slots__:
            if getattr(self, label) < 0:
                raise ValueError(f"{label} must not be negative, got {getattr(self, label)}")


class Roofline:
    """Seconds of each operator on `device` in `dtype`; implements `profiles.operators.encoder_decoder.EncoderTimes`.

    max(FLOPs / (peak * efficiency), bytes / (bandwidth * efficiency), dispatch) + launch (arXiv 2302.14017, its
    roofline, with a launch for each operator). Of the operators that are no products, normalization moves what it reads
    and writes twice and activation once, which the composition's sizes say. Weights lie in memory as `weights` says
    (WEIGHT_BYTES; None: as all else), and are computed with in `dtype`. ValueError for an unknown one.
    """

    def __init__(self, device: Device, dtype: str, launching: Launching, weights: str | None = None) -> None:
        if dtype not in ELEMENT_BYTES or dtype not in device.flops_per_second:
            known = ", ".join(name for name in device.flops_per_second if name in ELEMENT_BYTES)
            raise ValueError(f"{device.name}: dtype must be one of {known}, got {dtype!r}")
        if (weights or dtype) not in WEIGHT_BYTES:
            raise ValueError(f"weights must be one of {', '.join(WEIGHT_BYTES)}, got {weights!r}")
        self.weight_bytes = WEIGHT_BYTES[weights or dtype]
        self.device = device
        self.launching = launching
        self.element_bytes = ELEMENT_BYTES[dtype]
        self.peak = device.flops_per_second[dtype]
        self.bandwidth = device.bytes_per_second * device.memory_efficiency
        self.flops = Flops()
        kept = device.cache_bytes / self.weight_bytes
        self.elements = Elements(
            launching.score_transfers, kept, launching.softmax_passes, launching.elementwise_passes
        )

    def gemm(self, tokens: int, width: int, depth: int) -> float:
        return self._gemm(tokens, width, depth, width * depth)

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        kept = self.elements.gemm(tokens, width, depth) - self.elements.repeated_gemm(tokens, width, depth, block)
        return self._gemm(tokens, width, depth, width * depth - kept)

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        weights = experts * activated_share(per_token, experts, tokens) * width * depth
        return self._gemm(tokens * per_token, width, depth, weights, weights if tokens > 1 else 0.0)

    def _gemm(self, tokens: int, width: int, depth: int, weights: float, packed: float | None = None) -> float:
        """A product that reads so many weights, of which some are `packed` (None: all, for more than one row)."""
        flops = self.flops.gemm(tokens, width, depth)
        activations = self.elements.gemm(tokens, width, depth) - width * depth
        elements = activations + weights * self.weight_bytes / self.element_bytes
        if packed is None:
            packed = width * depth if tokens > 1 else 0.0
        packed *= self.device.packing_passes
        packing = packed * self.weight_bytes / self.bandwidth
        return self._seconds(flops / self.device.gemm_efficiency, elements) + packing

    def context_attention(self, point: Point, model: Architecture) -> float:
        flops = self.flops.context_attention(point, model)
        return self._seconds(flops / self.device.attention_efficiency, self.elements.context_attention(point, model))

    def generation_attention(self, point: Point, model: Architecture) -> float:
        return self._seconds(*self._generation(point, model))

    def _generation(self, point: Point, model: Architecture) -> tuple[float, float]:
        """FLOPs, as if at full efficiency, and elements of a decode step's attention."""
        flops = self.flops.generation_attention(point, model)
        kv = 2.0 * point.attended * model.kv_heads * model.head_dim
        elements = self.elements.generation_attention(point, model) + 2 * self.launching.cache_copies * kv
        return flops / self.device.attention_efficiency, elements

    def generation_parts(self, jobs: int, model: Architecture) -> list[list[tuple[float, float]]]:
        """Attention in a decode step of `jobs`, and softmax where it is an operator of its own, by total context.

        Each a list of base and slope in seconds, of which the slowest counts, as in `generation_attention`.
        """
        at = [decode_point(jobs, context) for context in (1, 2)]
        operators = [[self._generation(point, model) for point in at]]
        if self.launching.softmax_passes:
            operators.append([(0.0, self.elements.softmax(point.attended, model)) for point in at])
        launch, parts = self.device.launch_seconds, []
        for (flops, elements), (more_flops, more_elements) in operators:
            slopes = (more_flops - flops) / jobs, (more_elements - elements) / jobs
            computing, moving = 1 / self.peak, self.element_bytes / self.bandwidth
            parts.append([
                (self.launching.dispatch_seconds + launch, 0.0),
                ((flops - slopes[0] * jobs) * computing + launch, slopes[0] * computing),
                ((elements - slopes[1] * jobs) * moving + launch, slopes[1] * moving),
            ])  # fmt: skip
        return parts

    def encoder_attention(self, point: Point, model: Architecture) -> float:
        flops = self.flops.encoder_attention(point, model)
        return self._seconds(flops / self.device.attention_efficiency, self.elements.encoder_attention(point, model))

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        return self._seconds(0.0, self.elements.elementwise(tokens, read, written))

    def softmax(self, scores: int, model: Architecture) -> float:
        elements = self.elements.softmax(scores, model)
        return self._seconds(0.0, elements) if elements else 0.0

    def embedding(self, tokens: int, model: Architecture) -> float:
        return self._seconds(0.0, 2.0 * tokens * model.hidden)

    def all_reduce(self, elements: int, devices: int) -> float:
        """Seconds in which `devices` add up `elements` each, around a ring: each sends 2 (n - 1) / n of them."""
        sent = 2 * (devices - 1) / devices * elements * self.element_bytes
        return sent / (self.device.link_bytes_per_second * self.device.link_efficiency) + self.device.link_seconds

    def _seconds(self, effective_flops: float, elements: float) -> float:
        moving = elements * self.element_bytes / self.bandwidth
        return max(effective_flops / self.peak, moving, self.launching.dispatch_seconds) + self.device.launch_seconds
