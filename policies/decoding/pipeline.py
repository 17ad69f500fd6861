"""SPEED: tokens that follow one another are computed in different repetitions of the same layers (arXiv 2310.12072)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from policies.decoding.draws import draws
from policies.decoding.in_flight import InFlight
from sim import Decoding, Passes, PricedProfile, Profile, Request


@dataclass(frozen=True, slots=True)
class Pipeline(Decoding):
    """A decoder of a group of layers that every token goes through `lookahead` + 1 times, in one pass each.

    What follows a token is begun as soon as that has been through once, with what it predicts then: the layers are
    loaded once for up to `lookahead` + 1 tokens in flight. At its j-th time (from 2 on) the prediction changes with the
    probability changes[j - 2], for the last time; those in flight behind it are flushed, and it is followed anew.
    After a prefill `filling` passes are in vain, until the first token is through. `group` is what passes of those
    layers take, embedding and head included.
    """

    lookahead: int
    changes: Sequence[float]
    filling: int
    group: Profile
    seed: int
    divisible: ClassVar[bool] = False  # what is in flight is in flight

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", tuple(self.changes))  # a list, in a yaml
        if self.lookahead < 1 or len(self.changes) != self.lookahead:
            raise ValueError(f"changes must be one for each of lookahead={self.lookahead}, got {self.changes}")
        if min(self.changes) < 0 or sum(self.changes) > 1:
            raise ValueError(f"changes must be probabilities of no more than 1 together, got {self.changes}")
        if not 0 <= self.filling <= self.lookahead:
            raise ValueError(f"filling must be from 0 to lookahead={self.lookahead} passes, got {self.filling}")

    def passes(self, request: Request, emitted: int) -> Passes:
        """See `Decoding.passes`. [A] What is flushed changed nothing itself; nothing follows the end of the answer."""
        delays = self._delays(request)[emitted:]
        begun = np.cumsum(delays) - delays  # the passes in which places are begun to stay, from 0 on
        past = self.lookahead - self.filling  # passes that went by as the prefill did
        through = begun + self.filling
        emits = np.zeros(through[-1] + 1, dtype=int)
        emits[through] = 1
        now = np.arange(len(emits)) + past
        begin = np.searchsorted(begun, now, side="right")
        ended = np.searchsorted(begun, now - self.lookahead)
        flushed = np.where(begin < len(begun), now - begun[begin - 1], 0)
        return Passes(emits.tolist(), (begin - ended + flushed - 1).tolist())

    def priced(self, target: Profile) -> PricedProfile:
        """See `Decoding.priced`: `target` has as many layers as tokens go through, and prefills."""
        return InFlight(target, self.group)

    def _delays(self, request: Request) -> NDArray[np.int64]:
        """Of each place of the answer: how many passes after its own beginning the next one begins to stay."""
        changed = np.searchsorted(np.cumsum(self.changes), draws(self.seed, request), side="right")
        return np.array([*range(2, self.lookahead + 2), 1])[changed]
