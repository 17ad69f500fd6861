"""Draft and verify on what was recorded of two models, where the large one samples and the small one is greedy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.decoding.draft_verify import DraftVerify
from policies.decoding.draws import draws
from policies.decoding.proposals import check_lookahead, recorded
from sim import Profile, Request


@dataclass(frozen=True, slots=True)
class Rejection(DraftVerify):
    """Rejection sampling (arXiv 2211.17192, 2302.01318): a token x is accepted with min(1, p(x) / q(x)).

    p is the large model's probability, and q the small one's, which is 1 for the first choice of a greedy one. What a
    sampling small model would say instead of its first choice is not recorded. Nor is what stands before a place once
    an answer has been sampled otherwise than it was recorded: [A] it is as likely to go on.
    """

    lookahead: int
    draft: Profile
    seed: int

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)

    def accepted(self, request: Request) -> NDArray[np.bool_]:
        """See `DraftVerify.accepted`; ValueError for a request without proposals."""
        likely = np.exp([-one.divergence for one in recorded(request)])
        return np.asarray(draws(self.seed, request) < likely)
