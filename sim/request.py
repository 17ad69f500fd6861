"""What arrives: a request, and what is true of it. Both frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral
from typing import NamedTuple


def whole(name: str, tokens: object) -> int:
    """`tokens` as Python's own integer, which the compiled engine counts in; TypeError for what is none."""
    if not isinstance(tokens, Integral):
        raise TypeError(f"{name} must be a whole number, got {tokens!r}")
    return int(tokens)


class Pause(NamedTuple):
    """A call in the midst of an answer: after `emitted` output tokens it takes so many `seconds`.

    What it returns, `returned` tokens, is put behind those: nobody emits them, and they are computed like a prompt.
    """

    emitted: int
    seconds: float
    returned: int = 0


class Proposal(NamedTuple):
    """What a small model would say at one place of an answer, given all that stands before it there.

    `confidence` is its probability of its first choice, `divergence` -ln of the probability that the large model gives
    to that choice (nats); `agrees`: it is the large model's first choice too.
    """

    confidence: float
    divergence: float
    agrees: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """What nobody knows beforehand. Read by the engine and by predictors that are told, such as `OraclePredictor`.

    `output_ids` are the answer's token ids, where they are known: with prefix caching others may share them. `pauses`
    are the calls of the answer, in their order; one that takes no time and returns nothing is none, and left out.
    `proposals` are those of a small model for each output token, where they were recorded. `lengths` are the output
    tokens of the answers that models give, by their names, where they differ; `output_tokens` are those of all others.
    `samples` are the output tokens of other answers that were sampled to the same prompt, where they are known.
    """

    output_tokens: int
    output_ids: tuple[int, ...] = ()
    pauses: tuple[Pause, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    lengths: Mapping[str, int] | None = None
    samples: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if type(self.output_tokens) is not int:
            object.__setattr__(self, "output_tokens", whole("output_tokens", self.output_tokens))
        if self.output_tokens < 1:
            raise ValueError(f"output_tokens must be at least 1, got {self.output_tokens}")
        if self.output_ids and len(self.output_ids) != self.output_tokens:
            raise ValueError(f"{len(self.output_ids)} output_ids for {self.output_tokens} output_tokens")
        if self.proposals and len(self.proposals) != self.output_tokens:
            raise ValueError(f"{len(self.proposals)} proposals for {self.output_tokens} output_tokens")
        if self.samples and min(self.samples) < 1:
            raise ValueError(f"samples must be of at least one output token each, got {self.samples}")
        if self.pauses:
            self._check_pauses()
        if self.lengths is not None:
            self._check_lengths(self.lengths)

    def _check_lengths(self, lengths: Mapping[str, int]) -> None:
        for model, tokens in lengths.items():
            if tokens < 1:
                raise ValueError(f"output_tokens of {model} must be at least 1, got {tokens}")
        if self.output_ids or self.pauses or self.proposals:
            raise ValueError(
                "what is known of one answer's tokens is not of those of several models: give no `lengths`"
            )

    def _check_pauses(self) -> None:
        for emitted, seconds, returned in self.pauses:
            if not (0 <= seconds < math.inf and returned >= 0):
                raise ValueError(f"a pause takes finite seconds and returns tokens, neither negative: {self.pauses}")
            if not 1 <= emitted < self.output_tokens:
                raise ValueError(f"a pause comes after 1 to {self.output_tokens - 1} output tokens, got {emitted}")
        if any(one.emitted >= other.emitted for one, other in pairwise(self.pauses)):
            raise ValueError(f"pauses come one after the other, got {self.pauses}")
        kept = [Pause(int(one.emitted), float(one.seconds), int(one.returned)) for one in self.pauses]
        object.__setattr__(self, "pauses", tuple([one for one in kept if one.seconds or one.returned]))

    @property
    def longest(self) -> int:
        """Output tokens of the longest answer that any model gives."""
        return max(self.output_tokens, *self.lengths.values()) if self.lengths else self.output_tokens

    @property
    def returned_tokens(self) -> int:
        """Tokens that all calls return."""
        return sum(pause.returned for pause in self.pauses)


@dataclass(frozen=True, slots=True)
class Request:
    """One arrival. `arrival` and `deadline` are seconds from the trace's start; `max_tokens` is the client's cap.

    `features` are numbers derived from the prompt's text (the trace says which); `prompt_text` may be absent.
    `prompt_ids` say what the prompt holds, an id for each `id_tokens` tokens (the last may stand for fewer): requests
    whose first ids are equal share a prefix. Without them a prompt shares nothing. With a `think` time (s) it is one
    of a closed loop: it comes that long after the end of the one before it in its `session`, but not before `arrival`.
    """

    id: int
    arrival: float
    prompt_tokens: int
    truth: Truth
    max_tokens: int | None = None
    prompt_text: str | None = None
    features: tuple[float, ...] = ()
    client: str | None = None
    task: str | None = None
    session: str | None = None
    priority: float = 0.0
    deadline: float | None = None
    prompt_ids: tuple[int, ...] = ()
    id_tokens: int = 1
    think: float | None = None

    def __post_init__(self) -> None:
        if type(self.id) is not int:
            object.__setattr__(self, "id", whole("id", self.id))
        if type(self.arrival) is not float:
            object.__setattr__(self, "arrival", float(self.arrival))
        if not math.isfinite(self.arrival) or self.arrival < 0:
            raise ValueError(f"request {self.id}: arrival must be finite and not negative, got {self.arrival}")
        if type(self.prompt_tokens) is not int:
            object.__setattr__(self, "prompt_tokens", whole("prompt_tokens", self.prompt_tokens))
        if self.prompt_tokens < 1:
            raise ValueError(f"request {self.id}: prompt_tokens must be at least 1, got {self.prompt_tokens}")
        if self.max_tokens is not None and self.max_tokens < self.truth.longest:
            raise ValueError(
                f"request {self.id}: output_tokens {self.truth.longest} exceed max_tokens {self.max_tokens}"
            )
        if self.prompt_ids and len(self.prompt_ids) != -(-self.prompt_tokens // self.id_tokens):
            raise ValueError(
                f"request {self.id}: {len(self.prompt_ids)} prompt_ids of {self.id_tokens} tokens each do not make "
                f"{self.prompt_tokens} prompt_tokens"
            )
        if self.truth.output_ids and self.id_tokens != 1:
            raise ValueError(f"request {self.id}: output_ids need id_tokens=1, got {self.id_tokens}")
        if self.think is not None and (self.session is None or not 0 <= self.think < math.inf):
            raise ValueError(f"request {self.id}: think needs a session, and finite seconds, got {self.think}")

    def answered_by(self, model: str) -> Request:
        """The request with the answer that `model` gives, and no other."""
        tokens = (self.truth.lengths or {}).get(model, self.truth.output_tokens)
        return replace(self, truth=type(self.truth)(tokens))
