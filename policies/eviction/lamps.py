"""LAMPS's handling of calls (arXiv 2410.18248): foreseen when a request comes, by what wastes the least memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from policies.eviction.durations import foreseen as predicted
from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Load


class Wastes(NamedTuple):
    """Token-seconds that a call wastes if the KV stays, is dropped and computed anew, or is swapped."""

    keep: float
    drop: float
    swap: float

    def of(self, keep: Keep) -> float:
        """That of one of the three."""
        return {Keep.KEEP: self.keep, Keep.DROP: self.drop, Keep.SWAP: self.swap}[keep]

    def least(self) -> Keep:
        """What wastes the least; of equal ones KEEP, then SWAP."""
        if self.keep <= self.drop and self.keep <= self.swap:
            return Keep.KEEP
        return Keep.SWAP if self.swap <= self.drop else Keep.DROP


@dataclass(frozen=True, slots=True)
class CallWaste:
    """LAMPS's three wastes, as its released `scheduler_v2.py` has them [R].

    A step has `chunk` tokens, of which those that run have `pending_tokens`; the others compute a context anew or wait
    for its copy. A step of t tokens takes t * `per_token_seconds`, and a whole one `fixed_seconds` more; with copies
    t * `swap_part_seconds`, a whole one `chunk` * `swap_per_token_seconds` + `swap_fixed_seconds`.
    """

    chunk: int = 384
    per_token_seconds: float = 4.08e-5
    fixed_seconds: float = 0.01692
    swap_part_seconds: float = 1.36e-4
    swap_per_token_seconds: float = 1.81e-4
    swap_fixed_seconds: float = 0.0225

    def __post_init__(self) -> None:
        if not self.chunk >= 1:
            raise ValueError(f"chunk must be at least 1 token, got {self.chunk}")
        for name in self.__slots__[1:]:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def wastes(self, tokens: float, seconds: float, load: Load) -> Wastes:
        """Of a call of so many `seconds` with a context of so many tokens, of which whole blocks are counted."""
        size, others = load.blocks(math.ceil(tokens)) * load.block_size, load.running_tokens
        part = max(self.chunk - load.pending_tokens, 1)
        steps = -(-size // part)
        return Wastes(size * seconds, self._drop(size, part, steps, others), self._swap(size, part, steps, others))

    def _drop(self, size: int, part: int, steps: int, others: int) -> float:
        """The context as it is computed, and what `others` hold meanwhile; the last step is charged for its tokens."""
        more, last = max(steps - 1, 0), size % part
        whole = self.per_token_seconds * self.chunk + self.fixed_seconds
        waste = whole * (1 + more) * more / 2 * part + self.per_token_seconds * part * more * others
        return waste + self.per_token_seconds * last * (others + last)

    def _swap(self, size: int, part: int, steps: int, others: int) -> float:
        """The context as it is moved, and what `others` hold meanwhile, twice."""
        more = max(steps - 1, 1)
        whole = self.swap_per_token_seconds * self.chunk + self.swap_fixed_seconds
        return whole * more * size + self.swap_part_seconds * part * more * others * 2


@dataclass(frozen=True, slots=True)
class Lamps(Eviction):
    """What wastes the least by the predicted context and length of the next call; ValueError if that was not predicted.

    Where the host is full, KV that was to go there stays; under pressure it goes to the host, or is dropped.
    """

    waste: CallWaste = field(default_factory=CallWaste)

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """As foreseen at a call, else SWAP, or DROP where the host is full."""
        full = job.blocks > load.free_on_host
        if cause is Cause.PAUSE:
            predicted(job)
            foreseen: Keep = job.foreseen or Keep.KEEP
            return Keep.KEEP if full and foreseen is Keep.SWAP else foreseen
        return Keep.DROP if full else Keep.SWAP

    def foresee(self, job: Job, load: Load, now: float) -> Keep | None:
        """What wastes the least at its next call; KEEP if none is predicted."""
        return self.wastes(job, job.calls, load).least()

    def wastes(self, job: Job, call: int, load: Load) -> Wastes:
        """Of the predicted call of this number."""
        pauses = job.prediction.pauses
        if call >= len(pauses):
            return self.waste.wastes(job.context, 0.0, load)
        return self.waste.wastes(self.tokens(job, call), pauses[call].seconds, load)

    def tokens(self, job: Job, call: int) -> float:
        """The context that is predicted for it."""
        return job.given + max(job.prediction.pauses[call].emitted, job.emitted)
