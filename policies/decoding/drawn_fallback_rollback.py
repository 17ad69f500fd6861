"""BiLD by how often it falls and rolls back, where nobody recorded what a small model says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from policies.decoding.drafted import Drafted
from policies.decoding.fallback_rollback import Run, passes_of, runs
from policies.decoding.proposals import check_lookahead
from sim import Decoding, Passes, PricedProfile, Profile, Request


@dataclass(frozen=True, slots=True)
class DrawnFallbackRollback(Decoding):
    """BiLD whose large model is called, and rolls back, `fallback` and `rollback` times for each token of an answer.

    Each token of the small model is independent of the others [A]: it is unsure of it with one probability, and the
    large model rejects it with another, such that both rates come out in a long answer (see `chances`). `draft` is the
    small model's profile; `seed` and the request draw.
    """

    draft: Profile
    fallback: float
    rollback: float
    lookahead: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)
        chances(self.fallback, self.rollback, self.lookahead)

    def runs(self, request: Request, emitted: int) -> Iterator[Run]:
        """What the two models do from the output token `emitted` on."""
        unsure, rejected = chances(self.fallback, self.rollback, self.lookahead)
        drawn = np.random.default_rng([self.seed, request.id]).random((request.truth.output_tokens, 2))
        return runs((drawn[:, 0] < unsure).tolist(), (drawn[:, 1] < rejected).tolist(), emitted, self.lookahead)

    def passes(self, request: Request, emitted: int) -> Passes:
        """The large model's passes, each after those of the small one."""
        return passes_of(self.runs(request, emitted))

    def priced(self, target: Profile) -> PricedProfile:
        """What steps of both models take."""
        return Drafted(target, self.draft)


def chances(fallback: float, rollback: float, most: int) -> tuple[float, float]:
    """Of a token of the small model's: the probabilities that it is unsure of it, and that the large one rejects it.

    With s = (1 - unsure) (1 - rejected) a run emits 1 + s + ... + s^most tokens in the mean, which is 1 / fallback; it
    has no rollback with the probability unsure (1 - s^most) / (1 - s) + s^most, which is 1 - rollback / fallback.
    ValueError where no probabilities do that.
    """
    if not 1 / (most + 1) <= fallback <= 1:
        raise ValueError(f"fallback must be from 1/{most + 1} to 1 call a token, got {fallback}")
    if not 0 <= rollback <= fallback:
        raise ValueError(f"rollback must be from 0 to the fallback rate {fallback}, got {rollback}")
    low, high = 0.0, 1.0
    while high - low > 1e-12:  # the mean rises with s
        middle = (low + high) / 2
        low, high = (low, middle) if sum(middle**power for power in range(most + 1)) > 1 / fallback else (middle, high)
    stands = (low + high) / 2
    if rollback == 0:
        return 1 - stands, 0.0
    whole = stands**most
    unsure = (1 - rollback / fallback - whole) * (1 - stands) / (1 - whole)
    if not 0 <= unsure <= 1 - stands:
        raise ValueError(f"no probabilities give {fallback} calls and {rollback} rollbacks a token")
    return unsure, 1 - stands / (1 - unsure)
