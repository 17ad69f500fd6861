"""SSJF's classes of output lengths: cut at the 25th, 50th, 75th and 99th percentile of the training set's."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = (0.25, 0.5, 0.75, 0.99)  # SSJF's bounds 42, 141, 294 and 503 tokens are those of Vicuna-13B's answers


@dataclass(frozen=True, slots=True)
class LengthClasses:
    """Class i has the lengths above `edges[i]`, up to and with `edges[i + 1]`, of `means[i]` tokens on average.

    The first class has the shortest length too, which is `edges[0]`, and the first and last what lies outside.
    """

    edges: tuple[float, ...]
    means: tuple[float, ...]

    def of(self, length: float) -> int:
        """The class of an answer of `length` tokens."""
        return bisect_left(self.edges[1:-1], length)


def length_classes(answers: Sequence[Sequence[int]]) -> LengthClasses:
    """The classes of all `answers` (tokens): five, or fewer where percentiles coincide, none of them empty."""
    lengths = np.concatenate([np.asarray(sampled, dtype=float) for sampled in answers])
    bounds = np.unique(np.quantile(lengths, LEVELS, method="inverted_cdf"))
    edges = (lengths.min(), *bounds[bounds < lengths.max()], lengths.max())
    at = np.searchsorted(edges[1:-1], lengths)
    return LengthClasses(tuple(map(float, edges)), tuple((np.bincount(at, lengths) / np.bincount(at)).tolist()))
