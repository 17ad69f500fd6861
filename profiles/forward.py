"""Time one forward pass of a transformers model on a device: the only part of measuring that needs torch."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import DynamicCache

from profiles.point import Point


class Forward:
    """Times forward passes of `model`; call it with a `Point` for the seconds of one pass.

    A pass is eager, with SDPA attention, a `DynamicCache`, and logits for each sequence's last token alone. The KV of
    the computed tokens is random, of the right shape and not shared between layers: it costs what real KV costs (a
    test of it is `agreement`), and it need not be prefilled. A warm-up precedes each timing `warmups` times, and a
    timing is the mean of `repeats` passes, each on its own fresh cache.
    """

    def __init__(self, model: Any, seed: int, warmups: int = 0, repeats: int = 1) -> None:
        if repeats < 1 or warmups < 0:
            raise ValueError(f"repeats must be positive and warmups not negative, got {repeats} and {warmups}")
        self.model = model
        self.warmups = warmups
        self.repeats = repeats
        config = model.config.get_text_config(decoder=True)
        self.vocabulary = config.vocab_size
        self.layers: int = config.num_hidden_layers
        self.heads: int = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.random = torch.Generator(device=self.device).manual_seed(seed)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV that one token takes, over all layers."""
        return 2 * self.layers * self.heads * self.head_dim * int(self.dtype.itemsize)

    @torch.inference_mode()
    def __call__(self, point: Point) -> float:
        """Seconds of one pass of `point`."""
        tokens = torch.randint(
            self.vocabulary, (point.batch, point.new), generator=self.random, device=self.device, dtype=torch.long
        )
        for _ in range(self.warmups):
            self._timed(tokens, self.random_cache(point.batch, point.computed))
        timings = (self._timed(tokens, self.random_cache(point.batch, point.computed)) for _ in range(self.repeats))
        return sum(timings) / self.repeats

    def random_cache(self, batch: int, computed: int) -> DynamicCache:
        """A cache of `computed` tokens for each of `batch` sequences; one random sequence of a layer, copied."""
        cache = DynamicCache(config=self.model.config)
        if computed:
            shape = (1, self.heads, computed, self.head_dim)
            for layer in range(self.layers):
                key, value = (
                    torch.randn(shape, generator=self.random, device=self.device, dtype=self.dtype) for _ in range(2)
                )
                cache.update(key.expand(batch, -1, -1, -1), value.expand(batch, -1, -1, -1), layer)
        return cache

    @torch.inference_mode()
    def prefilled_cache(self, batch: int, computed: int) -> DynamicCache:
        """A cache of the same size, from a real prefill of random tokens."""
        cache = DynamicCache(config=self.model.config)
        tokens = torch.randint(self.vocabulary, (batch, computed), generator=self.random, device=self.device)
        self.model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cache

    @torch.inference_mode()
    def agreement(self, batch: int, computed: int, rounds: int = 7) -> float:
        """Median decode time on random KV over that on prefilled KV, in turns: near 1 if random KV is fair."""
        tokens = torch.randint(self.vocabulary, (batch, 1), generator=self.random, device=self.device)
        timings: list[tuple[float, float]] = []
        for _ in range(rounds):
            caches = self.random_cache(batch, computed), self.prefilled_cache(batch, computed)
            timings.append((self._timed(tokens, caches[0]), self._timed(tokens, caches[1])))
        random, prefilled = (sorted(column)[rounds // 2] for column in zip(*timings, strict=True))
        return float(random / prefilled)

    def _timed(self, tokens: torch.Tensor, cache: DynamicCache) -> float:
        if self.device.type == "cuda":
            return self._timed_on_cuda(tokens, cache)
        begin = time.perf_counter()
        self._pass(tokens, cache)
        return time.perf_counter() - begin

    def _timed_on_cuda(self, tokens: torch.Tensor, cache: DynamicCache) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize(self.device)
        begin.record()
        self._pass(tokens, cache)
        end.record()
        torch.cuda.synchronize(self.device)
        return float(begin.elapsed_time(end)) / 1e3

    def _pass(self, tokens: torch.Tensor, cache: DynamicCache) -> None:
        self.model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)


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
