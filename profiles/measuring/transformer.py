"""Run a transformers model pass by pass: prompts in, then one more token each, with the KV kept between passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, EncoderDecoderCache


@dataclass(slots=True)
class State:
    """The KV of a batch, and which columns of it are real (`mask`: batch x columns, None where none is padding)."""

    cache: Any
    mask: torch.Tensor | None
    encoded: Any = None

    def widen(self, columns: int) -> None:
        """Count the next `columns` tokens of each row as real."""
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(self.mask.shape[0], columns)], dim=1)


def random_cache(
    config: Any, shapes: Sequence[tuple[int, int]], batch: int, computed: int, generator: torch.Generator, dtype: Any
) -> DynamicCache:
    """A cache of `computed` tokens for each of `batch` sequences; a layer's KV is one random sequence, copied.

    `shapes` are each layer's (KV heads, head dimension).
    """
    cache = DynamicCache(config=config)
    if computed:
        for layer, (heads, width) in enumerate(shapes):
            shape = (1, heads, computed, width)
            key, value = (torch.randn(shape, generator=generator, device=generator.device, dtype=dtype) for _ in "kv")
            cache.update(key.expand(batch, -1, -1, -1), value.expand(batch, -1, -1, -1), layer)
    return cache


def shapes_of(cache: DynamicCache) -> list[tuple[int, int]]:
    """(KV heads, head dimension) of each layer of a filled cache."""
    layers: list[Any] = cache.layers  # of a filled cache each has keys
    return [(layer.keys.shape[1], layer.keys.shape[3]) for layer in layers]


class DecoderOnly:
    """Passes of a causal model: a prompt's tokens and an answer's are one sequence."""

    takes_chunks = True

    def __init__(self, model: Any) -> None:
        self.model = model
        self.shapes = shapes_of(self.begin(probe(model), None)[1].cache)
        self.longest_prompt = self.longest = int(model.config.max_position_embeddings)

    def begin(self, prompts: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, State]:
        """Logits (batch x 1 x vocabulary) after `prompts` (batch x tokens), and the state that they leave."""
        state = State(DynamicCache(config=self.model.config), None if mask is None else mask[:, :0])
        return self._pass(state, prompts, mask), state

    def step(self, state: State, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch x 1 x vocabulary) after `tokens` more (batch x new); the state goes on."""
        state.widen(tokens.shape[1])
        return self._pass(state, tokens, state.mask)

    def random_state(self, batch: int, computed: int, mask: Any, generator: torch.Generator) -> State:
        """A state of random KV of `computed` tokens for each sequence: costs what real KV costs."""
        cache = random_cache(self.model.config, self.shapes, batch, computed, generator, self.model.dtype)
        return State(cache, mask)

    def real_state(self, batch: int, computed: int, mask: Any, generator: torch.Generator) -> State:
        """A state of the same size, from a real pass over random tokens."""
        return self.begin(random_tokens(self.model, batch, computed, generator), mask)[1]

    def _pass(self, state: State, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        state.mask = mask
        out = self.model(tokens, past_key_values=state.cache, attention_mask=mask, use_cache=True, logits_to_keep=1)
        return torch.as_tensor(out.logits)


class EncoderDecoder:
    """Passes of an encoder-decoder: the encoder reads the prompts whole, the decoder writes the answers.

    A prompt's pass is the encoder's, and the decoder's first. A sequence of so many computed tokens has half of them
    (rounded up) in the encoder's KV, the others in the decoder's own.
    """

    takes_chunks = False
    LONGEST_RELATIVE = 512  # of the models without position embeddings (T5), which were trained at this length

    def __init__(self, model: Any) -> None:
        self.model = model
        cache = self.begin(probe(model), None)[1].cache
        self.shapes = shapes_of(cache.self_attention_cache)
        self.cross_shapes = shapes_of(cache.cross_attention_cache)
        self.longest_prompt = int(getattr(model.config, "max_position_embeddings", self.LONGEST_RELATIVE))
        self.longest = 2 * self.longest_prompt

    def begin(self, prompts: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, State]:
        """Logits (batch x 1 x vocabulary) of the first token after `prompts` (batch x tokens), and the state."""
        start = prompts.new_zeros(prompts.shape[0], 1)
        out = self.model(input_ids=prompts, attention_mask=mask, decoder_input_ids=start, use_cache=True)
        return out.logits, State(out.past_key_values, mask, (out.encoder_last_hidden_state,))

    def step(self, state: State, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch x new x vocabulary) after `tokens` more of the answers (batch x new); the state goes on."""
        out = self.model(
            encoder_outputs=state.encoded,
            attention_mask=state.mask,
            decoder_input_ids=tokens,
            past_key_values=state.cache,
            use_cache=True,
        )
        return torch.as_tensor(out.logits)

    def random_state(self, batch: int, computed: int, mask: Any, generator: torch.Generator) -> State:
        """A state of random KV of `computed` tokens for each sequence: costs what real KV costs."""
        config, dtype = self.model.config, self.model.dtype
        read = (computed + 1) // 2
        caches = (
            random_cache(config, shapes, batch, tokens, generator, dtype)
            for shapes, tokens in ((self.shapes, computed - read), (self.cross_shapes, read))
        )
        hidden = torch.randn(batch, read, self.model.config.hidden_size, generator=generator, device=generator.device)
        return State(EncoderDecoderCache(*caches), None if mask is None else mask[:, :read], (hidden.to(dtype),))

    def real_state(self, batch: int, computed: int, mask: Any, generator: torch.Generator) -> State:
        """A state of the same size, from real passes over random tokens."""
        read = (computed + 1) // 2
        prompts = random_tokens(self.model, batch, read, generator)
        state = self.begin(prompts, None if mask is None else mask[:, :read])[1]
        if computed - read > 1:  # the first pass left one token in the decoder
            self.step(state, random_tokens(self.model, batch, computed - read - 1, generator))
        return state


def passes_of(model: Any) -> DecoderOnly | EncoderDecoder:
    """How `model` is run."""
    return EncoderDecoder(model) if model.config.is_encoder_decoder else DecoderOnly(model)


def random_tokens(model: Any, batch: int, new: int, generator: torch.Generator) -> torch.Tensor:
    """Random token ids, batch x new."""
    return torch.randint(
        model.config.vocab_size, (batch, new), generator=generator, device=generator.device, dtype=torch.long
    )


def padding_mask(batch: int, columns: int, device: torch.device) -> torch.Tensor | None:
    """The mask of a padded batch: the first column of every row but one is padding; None for a single sequence."""
    if batch == 1 or columns < 2:
        return None
    mask = torch.ones(batch, columns, dtype=torch.long, device=device)
    mask[1:, 0] = 0
    return mask


def probe(model: Any) -> torch.Tensor:
    """A prompt of two tokens, to see the shape of what a pass leaves."""
    return torch.zeros(1, 2, dtype=torch.long, device=model.device)
