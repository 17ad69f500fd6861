"""Draft and verify by an acceptance rate: each token that is proposed is accepted or not, apart from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.decoding.draft_verify import DraftVerify
from policies.decoding.draws import draws
from policies.decoding.proposals import check_lookahead
from sim import Profile, Request


@dataclass(frozen=True, slots=True)
class Bernoulli(DraftVerify):
    """Each of `lookahead` tokens is accepted with the probability `acceptance`, as long as those before it were.

    A pass emits (1 - acceptance^(lookahead + 1)) / (1 - acceptance) tokens on average (arXiv 2211.17192, eq. 1).
    """

    acceptance: float
    lookahead: int
    draft: Profile
    seed: int

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)
        if not 0 <= self.acceptance <= 1:
            raise ValueError(f"acceptance must be a probability, got {self.acceptance}")

    def accepted(self, request: Request) -> NDArray[np.bool_]:
        """See `DraftVerify.accepted`."""
        return np.asarray(draws(self.seed, request) < self.acceptance)
