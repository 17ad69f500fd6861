"""Draft and verify on what was recorded of two greedy models: a token is accepted if the large one says it too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.decoding.draft_verify import DraftVerify
from policies.decoding.proposals import check_lookahead, recorded
from sim import Profile, Request


@dataclass(frozen=True, slots=True)
class GreedyMatch(DraftVerify):
    """`lookahead` tokens are accepted up to the first that is not the large model's own first choice.

    So the answer is the large model's to the letter, and what was recorded along it is exact.
    """

    lookahead: int
    draft: Profile

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)

    def accepted(self, request: Request) -> NDArray[np.bool_]:
        """See `DraftVerify.accepted`; ValueError for a request without proposals."""
        return np.array([one.agrees for one in recorded(request)], dtype=bool)
