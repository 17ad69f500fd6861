"""Draft and verify: a small model proposes some tokens, and the large one keeps them up to the first it refuses."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from policies.decoding.drafted import Drafted
from sim import Decoding, Passes, PricedProfile, Profile, Request


class DraftVerify(Decoding):
    """A pass proposes `lookahead` tokens and emits those accepted in a row, and one more that the large model says.

    (Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318.) The pass does not know where the answer ends:
    it proposes as many to the last. `draft` is the small model's profile, on the same device.
    """

    __slots__ = ()
    draft: Profile

    def priced(self, target: Profile) -> PricedProfile:
        """See `Decoding.priced`."""
        return Drafted(target, self.draft)

    @abstractmethod
    def accepted(self, request: Request) -> NDArray[np.bool_]:
        """Of each place of the answer, whether the token that is proposed there would be accepted."""

    def passes(self, request: Request, emitted: int) -> Passes:
        """See `Decoding.passes`; a place is asked for once, or not at all where the large model speaks unasked."""
        refused = np.flatnonzero(~self.accepted(request))
        length = request.truth.output_tokens
        places = np.arange(length)
        until = np.append(refused, length)[
            np.searchsorted(refused, places)
        ]  # the first from a place on that is refused
        yielded = np.minimum(np.minimum(until - places, self.lookahead) + 1, length - places).tolist()
        emits = []
        while emitted < length:
            emits.append(yielded[emitted])
            emitted += yielded[emitted]
        return Passes(emits, [self.lookahead] * len(emits))
