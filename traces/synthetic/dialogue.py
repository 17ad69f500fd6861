"""Synthetic dialogue whose answer lengths depend, by stated effects, on RT-LM's six kinds of uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from traces.kinds import KINDS
from traces.split import in_training
from traces.synthetic.arrivals import poisson
from traces.synthetic.grammar import prompt
from traces.synthetic.workload import drawn
from traces.text.scoring import score_texts

# All [A]: RT-LM says which way the effects go, not how large they are.
EFFECTS = {"structural": 1.1, "syntactic": 1.1, "semantic": 1.3, "vague": 1.6, "open_ended": 2.5, "multi_part": 2.0}
MIX = dict.fromkeys(KINDS, 1.0)
TEXTS_FOR_TRAINING = 0.5  # share of all prompts; replay never draws one of them


@dataclass(frozen=True)
class SyntheticDialogue:
    """`requests` prompts of a seeded grammar, arriving as a Poisson process of `rate` requests/s.

    A prompt has k kinds of uncertainty with probability `kinds_per_prompt[k]`, drawn without replacement with weights
    `mix`; the length of its answer is lognormal: its median is `median_tokens` times the `effects` of its kinds, its
    log's standard deviation `sigma`, rounded up and cut at `max_tokens`. A prompt is `template_tokens` and
    `tokens_per_word` for each word. The scorer `words` knows this grammar's words, so here its scores find the kinds
    nearly always, which they do not in human text; `parser` takes milliseconds a prompt.
    """

    rate: float
    requests: int
    mix: Mapping[str, float] = field(default_factory=lambda: dict(MIX))
    effects: Mapping[str, float] = field(default_factory=lambda: dict(EFFECTS))
    kinds_per_prompt: Sequence[float] = (0.3, 0.4, 0.2, 0.1)  # [A]
    median_tokens: float = 40.0  # [A] of a plain prompt's answer
    sigma: float = 0.5  # [A]
    max_tokens: int = 512
    tokens_per_word: float = 1.3  # [A]
    template_tokens: int = 20  # [A] a chat template's own tokens
    training_requests: int = 2000
    training_seed: int = 20230911
    scorer: str = "words"  # of the rule scores: words or parser

    def __post_init__(self) -> None:
        for name, values in (("mix", self.mix), ("effects", self.effects)):
            if set(values) != set(KINDS):
                raise ValueError(f"{name} must have a value for each of {', '.join(KINDS)}, got {dict(values)}")
        if min(self.mix.values()) <= 0 or min(self.effects.values()) <= 0:
            raise ValueError(f"mix and effects must be positive, got {dict(self.mix)} and {dict(self.effects)}")
        shares = tuple(self.kinds_per_prompt)
        if min(shares, default=-1) < 0 or not math.isclose(sum(shares), 1) or len(shares) > len(KINDS) + 1:
            raise ValueError(f"kinds_per_prompt must be probabilities of 0, 1, ... kinds that sum to 1, got {shares}")
        positive = ("rate", "requests", "median_tokens", "max_tokens", "tokens_per_word", "training_requests")
        for name in positive:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.sigma < 0 or self.template_tokens < 0:
            raise ValueError(f"sigma, template_tokens must not be negative, got {self.sigma}, {self.template_tokens}")

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return (
            f"synthetic: grammar prompts, lognormal lengths (median {self.median_tokens:g} tokens times the effects of "
            f"six kinds of uncertainty, sigma {self.sigma:g}) cut at {self.max_tokens} tokens, Poisson arrivals"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come; `lengths` draws the texts, then their answers' lengths.

        Equal generators give equal texts whatever the effects and `sigma`. `attrs["cut"]` counts the answers that
        `max_tokens` cut.
        """
        instants = poisson(self.rate, self.requests, arrivals)
        return self._table(instants, lengths, training=False)

    def training(self) -> pd.DataFrame:
        """`training_requests` rows of the same population, all at arrival 0; no prompt of theirs is ever replayed."""
        return self._table(np.zeros(self.training_requests), np.random.default_rng(self.training_seed), training=True)

    def _table(self, instants: np.ndarray, lengths: np.random.Generator, training: bool) -> pd.DataFrame:
        kinds: list[tuple[str, ...]] = []
        texts: list[str] = []
        while len(texts) < len(instants):
            these = self._kinds(lengths)
            text = prompt(these, lengths)
            if in_training(text, TEXTS_FOR_TRAINING) is training:
                kinds.append(these)
                texts.append(text)
        medians = self.median_tokens * np.array([math.prod(self.effects[kind] for kind in these) for these in kinds])
        drawn_tokens = np.ceil(medians * lengths.lognormal(0.0, self.sigma, len(texts)))
        words = np.array([len(text.split()) for text in texts])
        scores = score_texts(texts, self.scorer)
        table = pd.DataFrame(
            {
                "arrival": instants,
                "prompt_tokens": self.template_tokens + np.ceil(words * self.tokens_per_word),
                "output_tokens": np.minimum(drawn_tokens, self.max_tokens),
                "max_tokens": self.max_tokens,
                "prompt_text": texts,
                "task": ["+".join(these) or "plain" for these in kinds],
                **{kind: scores[:, column] for column, kind in enumerate(KINDS)},
            }
        )
        table.attrs["cut"] = int((drawn_tokens > self.max_tokens).sum())
        return drawn(table, "synthetic dialogue")

    def _kinds(self, texts: np.random.Generator) -> tuple[str, ...]:
        """The kinds of one prompt: the first of `mix`-weighted exponential races (a draw without replacement)."""
        count = int(np.searchsorted(np.cumsum(self.kinds_per_prompt), texts.random(), side="right"))
        races = texts.exponential(size=len(KINDS)) / [self.mix[kind] for kind in KINDS]
        return tuple(KINDS[at] for at in np.sort(np.argsort(races)[: min(count, len(self.kinds_per_prompt) - 1)]))
