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
        refused = np.flatnonzero(~self.accepted(request)[emitted:]).tolist()
        length, most = request.truth.output_tokens - emitted, self.lookahead + 1
        emits: list[int] = []
        place = 0
        for stop in (*refused, length):  # from `place` on all are accepted until `stop`, where the large model's stands
            if stop < place:  # it was the large model's own already
                continue
            if whole := (stop - place + 1) // most:
                emits += [most] * whole
                place += most * whole
            if place <= stop < length:
                emits.append(stop - place + 1)
                place = stop + 1
        if place < length:
            emits.append(length - place)
        elif place > length:
            emits[-1] -= place - length
        return Passes(emits, [self.lookahead] * len(emits))
