"""What somebody predicts of a request's answer: its length, how sure that is, and what saying so cost."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Distribution:
    """A predicted distribution of output lengths, as points of its cumulative curve with straight lines between them.

    A share `levels[i]` of all answers has at most `lengths[i]` tokens; shorter than the first or longer than the last
    length there is none, so the first and last levels belong to all that lies outside. So quantiles and histograms are
    both told exactly. ValueError unless levels are within [0, 1], lengths are not negative, and neither ever falls.
    """

    levels: tuple[float, ...]
    lengths: tuple[float, ...]
    _hash: int | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Kept, because orders look up what they made of it at every rank."""
        if self._hash is None:
            object.__setattr__(self, "_hash", hash((self.levels, self.lengths)))
        return self._hash  # type: ignore[return-value]

    def __post_init__(self) -> None:
        levels, lengths = self.levels, self.lengths
        if not levels or len(levels) != len(lengths):
            raise ValueError(f"a distribution needs as many levels as lengths, got {len(levels)} and {len(lengths)}")
        if not (levels[0] >= 0 and levels[-1] <= 1 and _rise(levels)):
            raise ValueError(f"levels must be within [0, 1] and not fall, got {levels}")
        if not (lengths[0] >= 0 and _rise(lengths)):
            raise ValueError(f"lengths must be finite, not negative, and not fall, got {lengths}")

    @classmethod
    def of_histogram(cls, edges: Sequence[float], masses: Sequence[float]) -> Distribution:
        """`masses[i]` (they sum to anything positive) spread evenly between `edges[i]` and `edges[i + 1]` tokens."""
        total = sum(masses)
        if len(edges) != len(masses) + 1 or not total > 0 or min(masses) < 0:
            raise ValueError(f"a histogram needs an edge more than masses of a positive sum, got {edges}, {masses}")
        inner = [min(level / total, 1.0) for level in accumulate(masses[:-1], initial=0.0)]
        return cls((*inner, 1.0), tuple(edges))

    @staticmethod
    @lru_cache(maxsize=4096)
    def certain(length: float) -> Distribution:
        """One answer, of `length` tokens."""
        return Distribution((1.0,), (length,))

    @classmethod
    def of_atoms(cls, lengths: Iterable[float]) -> Distribution:
        """Each of these `lengths` (tokens) as likely as any other, and nothing between them."""
        ordered = sorted(lengths)
        if not ordered:
            raise ValueError("a distribution of atoms needs at least one length")
        levels = [at / len(ordered) for at in range(len(ordered) + 1)]
        return cls(tuple([level for ends in pairwise(levels) for level in ends]), tuple(sorted([*ordered, *ordered])))

    @classmethod
    def of_samples(cls, lengths: Iterable[float]) -> Distribution:
        """The quantiles of equally likely `lengths`: the i-th of n stands for the level (i + 1/2) / n."""
        ordered = sorted(lengths)
        return cls(tuple((at + 0.5) / len(ordered) for at in range(len(ordered))), tuple(ordered))

    def quantile(self, level: float) -> float:
        """Tokens that a share `level` of the answers does not exceed."""
        levels, lengths = self.levels, self.lengths
        if level <= levels[0]:
            return lengths[0]
        if level > levels[-1]:
            return lengths[-1]
        above = bisect_left(levels, level)
        share = (level - levels[above - 1]) / (levels[above] - levels[above - 1])
        return lengths[above - 1] + share * (lengths[above] - lengths[above - 1])

    def survival(self, tokens: float) -> float:
        """The share of answers longer than `tokens`."""
        levels, lengths = self.levels, self.lengths
        if tokens < lengths[0]:
            return 1.0
        if tokens >= lengths[-1]:
            return 0.0
        above = bisect_right(lengths, tokens)
        share = (tokens - lengths[above - 1]) / (lengths[above] - lengths[above - 1])
        return 1.0 - levels[above - 1] - share * (levels[above] - levels[above - 1])

    @property
    def mean(self) -> float:
        """Expected tokens."""
        levels, lengths = self.levels, self.lengths
        inside = sum(
            (high - low) * (short + long) / 2
            for (low, high), (short, long) in zip(pairwise(levels), pairwise(lengths), strict=True)
        )
        return levels[0] * lengths[0] + inside + (1 - levels[-1]) * lengths[-1]

    def tail_mean(self, level: float) -> float:
        """Expected tokens of the longest share 1 - `level` of the answers: the conditional value at risk."""
        if not 0 <= level < 1:
            raise ValueError(f"level must be within [0, 1), got {level}")
        above = bisect_right(self.levels, level)
        levels = [(one - level) / (1 - level) for one in self.levels[above:]]
        return Distribution((0.0, *levels), (self._least_above(level, above), *self.lengths[above:])).mean

    def _least_above(self, level: float, above: int) -> float:
        """Where the curve leaves `level`, tokens, of which the points from number `above` on are."""
        levels, lengths = self.levels, self.lengths
        if above in (0, len(levels)):
            return lengths[0] if above == 0 else lengths[-1]
        share = (level - levels[above - 1]) / (levels[above] - levels[above - 1])
        return lengths[above - 1] + share * (lengths[above] - lengths[above - 1])


def _rise(values: tuple[float, ...]) -> bool:
    """Whether they are finite and never fall: asked of each prediction, so at the speed of a sort of sorted numbers."""
    return sum(values) < math.inf and sorted(values) == [*values]


class PredictedPause(NamedTuple):
    """A call that is expected after `emitted` output tokens in all, to take `seconds` and to return so many tokens."""

    emitted: float
    seconds: float
    returned: float = 0.0


class Prediction(NamedTuple):
    """What a predictor says of a request, and what saying it cost.

    `length` is the expected output length in tokens; `uncertainty` a score of the request that grows with the answer it
    may take, also in tokens: the length itself where a predictor knows no other; `seconds` is the predictor's own time,
    which the cluster charges to the clock; `distribution` says more than the mean, where a predictor can. `pauses` are
    the calls that are expected, in their order: number `job.calls` is the next, and of a job that calls out the one
    before that is under way. The cluster refuses a prediction that is not finite, or negative.
    """

    length: float
    uncertainty: float
    seconds: float = 0.0
    distribution: Distribution | None = None
    pauses: tuple[PredictedPause, ...] = ()
