"""How answers spread about a predicted length, learned from training rows that the fit behind it had not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sim.prediction import Distribution, Prediction

Rows = NDArray[np.intp]
LEVELS = (0.01, *(level / 20 for level in range(1, 20)), 0.99)


@dataclass(frozen=True, slots=True)
class Residuals:
    """From a predicted mean log length to a prediction.

    `smearing` turns the mean of the log into the mean (Duan 1983); a share `LEVELS[i]` of all answers has at most
    `ratios[i]` times the predicted mean. A prediction stays within the training set's `shortest` and `longest`, tokens.
    """

    smearing: float
    ratios: tuple[float, ...]
    shortest: float
    longest: float

    def prediction(self, log_length: float, seconds: float) -> Prediction:
        """The expected length, as RT-LM's uncertainty score too, and the distribution about it."""
        length = self.smearing * math.exp(min(log_length, math.log(self.longest)))
        length = min(max(length, self.shortest), self.longest)
        return Prediction(length, length, seconds, self.distribution(length))

    def distribution(self, length: float) -> Distribution:
        """The distribution of answers whose expected length is `length` tokens."""
        return _scaled(self.ratios, length)


@lru_cache(maxsize=4096)  # many requests are told the same length, such as those of one prompt length
def _scaled(ratios: tuple[float, ...], length: float) -> Distribution:
    return Distribution(LEVELS, tuple([length * ratio for ratio in ratios]))


def out_of_fold(
    sampled: Sequence[NDArray[np.float64]], fit: Callable[[Rows, Rows], NDArray[np.float64]], folds: int = 5
) -> Residuals:
    """The residuals of `folds` parts of the training rows, each foretold by a fit to the others.

    `sampled` are each row's log lengths; `fit(training, held)` fits to some rows and gives the mean log length that it
    predicts of each of others. A row is in one part with all its answers.
    """
    residuals = np.concatenate(
        [
            sampled[row] - mean
            for others, held in parts(len(sampled), folds)
            for row, mean in zip(held, fit(others, held), strict=True)
        ]
    )
    smearing = float(np.exp(residuals).mean())
    lengths = np.exp(np.concatenate(list(sampled)))
    return Residuals(
        smearing=smearing,
        ratios=tuple((np.exp(np.quantile(residuals, LEVELS)) / smearing).tolist()),
        shortest=float(lengths.min()),
        longest=float(lengths.max()),
    )


def parts(rows: int, folds: int = 5) -> Iterator[tuple[Rows, Rows]]:
    """Each of `folds` random parts of so many rows, behind the rows of the others."""
    order = np.random.default_rng(0).permutation(rows)
    for held in np.array_split(order, min(folds, rows)):
        yield np.setdiff1d(order, held), held
