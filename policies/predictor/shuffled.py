"""Predictions that belong to other requests: what a policy does with numbers that are right of all and of none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.answers import log_lengths
from policies.predictor.draws import uniform
from policies.predictor.residuals import LEVELS
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class Shuffled(Predictor):
    """Says of each request one of `lengths` (tokens), drawn by `seed` and its id, whatever the request is.

    The `distribution` is that of all the lengths, which is the truth about such a prediction.
    """

    lengths: tuple[float, ...]
    distribution: Distribution
    seed: int

    def predict(self, request: Request) -> Prediction:
        """The length of somebody else's answer, tokens."""
        length = self.lengths[int(uniform(self.seed, request.id) * len(self.lengths))]
        return Prediction(length, length, 0.0, self.distribution)


def fit_shuffled(requests: Sequence[Request], answers: Sequence[Sequence[int]], *, seed: int) -> Shuffled:
    """The lengths of all training answers."""
    lengths = np.exp(np.concatenate(log_lengths(requests, answers)))
    return Shuffled(tuple(lengths.tolist()), Distribution(LEVELS, tuple(np.quantile(lengths, LEVELS).tolist())), seed)
