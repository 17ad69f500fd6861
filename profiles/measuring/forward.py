"""Time one forward pass of a transformers model on a device: the only part of measuring that needs torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

from profiles.measuring.transformer import State, padding_mask, passes_of, random_tokens
from profiles.point import Point, decode_point, prefill_point

ANCHOR_STEPS = 3


class Forward:
    """Times forward passes of `model`; call it with a `Point` for the seconds of one pass.

    A pass is eager, with SDPA attention, a `DynamicCache`, and logits for each sequence's last token alone; a batch of
    several sequences is masked as a padded one, as a batch of prompts of unequal length is. The KV of the computed
    tokens is random, of the right shape and not shared between layers: it costs what real KV costs (a test of it is
    `agreement`), and it need not be prefilled. A warm-up precedes each timing `warmups` times, and a timing is the mean
    of `repeats` passes, each on its own fresh cache.
    """

    libraries = ("torch", "transformers")
    described = "hf: transformers, eager, SDPA attention, DynamicCache; batches of several are masked as padded ones"

    def __init__(self, model: Any, seed: int, warmups: int = 0, repeats: int = 1) -> None:
        if repeats < 1 or warmups < 0:
            raise ValueError(f"repeats must be positive and warmups not negative, got {repeats} and {warmups}")
        self.model = model
        self.warmups = warmups
        self.repeats = repeats
        self.device: torch.device = model.device
        self.random = torch.Generator(device=self.device).manual_seed(seed)
        with torch.inference_mode():
            self.passes = passes_of(model)

    @property
    def config(self) -> Any:
        """The model's config."""
        return self.model.config

    @property
    def longest(self) -> int:
        """The model's length, prompt and answer, in tokens."""
        return self.passes.longest

    @property
    def longest_prompt(self) -> int | None:
        """Tokens of the longest prompt, of a model that reads prompts whole; None for one that reads them in chunks."""
        return None if self.passes.takes_chunks else self.passes.longest_prompt

    @property
    def parameter_count(self) -> int:
        """The model's parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model's weights."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV that one token takes, over all layers."""
        return 2 * sum(heads * width for heads, width in self.passes.shapes) * int(self.model.dtype.itemsize)

    @torch.inference_mode()
    def __call__(self, point: Point) -> float:
        """Seconds of one pass of `point`."""
        tokens = random_tokens(self.model, point.batch, point.new, self.random)
        for _ in range(self.warmups):
            self._timed(self.work(point, tokens))
        return sum(self._timed(self.work(point, tokens)) for _ in range(self.repeats)) / self.repeats

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """Seconds of a prefill of `batch` prompts of `context` - 2 tokens, and the median of some decode steps."""
        prefill = self(prefill_point(batch, context - 2))
        return prefill, median(self(decode_point(batch, context)) for _ in range(ANCHOR_STEPS))

    def work(self, point: Point, tokens: torch.Tensor) -> Callable[[], object]:
        """The pass of `point` over `tokens` (batch x new), ready to run."""
        if not point.computed:
            mask = padding_mask(point.batch, point.new, self.device)
            return lambda: self.passes.begin(tokens, mask)
        mask = padding_mask(point.batch, point.computed, self.device)
        state = self.passes.random_state(point.batch, point.computed, mask, self.random)
        return lambda: self.passes.step(state, tokens)

    @torch.inference_mode()
    def agreement(self, batch: int, computed: int, rounds: int = 7) -> float:
        """Median decode time on random KV over that on prefilled KV, in turns: near 1 if random KV is fair."""
        tokens = random_tokens(self.model, batch, 1, self.random)
        mask = padding_mask(batch, computed, self.device)
        timings: dict[Any, list[float]] = {self.passes.random_state: [], self.passes.real_state: []}
        for _ in range(rounds):
            for build, seconds in timings.items():
                state: State = build(batch, computed, mask, self.random)
                seconds.append(self._timed(partial(self.passes.step, state, tokens)))
        random, prefilled = (median(seconds) for seconds in timings.values())
        return random / prefilled

    def _timed(self, work: Callable[[], object]) -> float:
        if self.device.type == "cuda":
            return self._timed_on_cuda(work)
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    def _timed_on_cuda(self, work: Callable[[], object]) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(self.device)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize(self.device)
        return float(begin.elapsed_time(end)) / 1e3


def copy_bandwidth(device: torch.device, size_bytes: int = 256 * 2**20, repeats: int = 5) -> float:
    """Bytes/s of copying `size_bytes` from the device to pinned host memory; within host memory for a CPU.

    The best of `repeats` copies, after one that touches the pages.
    """
    source = torch.ones(size_bytes, dtype=torch.uint8, device=device)
    target = torch.ones(size_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
    best = float("inf")
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return size_bytes / best
