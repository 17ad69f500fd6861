"""The same length for every request: what a policy is worth that knows the workload's mean and no request's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.answers import log_lengths
from policies.predictor.residuals import LEVELS
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class Constant(Predictor):
    """Says `prediction` of everything."""

    prediction: Prediction

    def predict(self, request: Request) -> Prediction:
        """The one prediction."""
        return self.prediction


def constant(length: float, seconds: float = 0.0) -> Constant:
    """`length` tokens, for certain."""
    return Constant(Prediction(length, length, seconds, Distribution((1.0,), (length,))))


def fit_constant(requests: Sequence[Request], answers: Sequence[Sequence[int]], *, seconds: float = 0.0) -> Constant:
    """The mean of all training answers, and their quantiles."""
    lengths = np.exp(np.concatenate(log_lengths(requests, answers)))
    mean = float(lengths.mean())
    around = Distribution(LEVELS, tuple(np.quantile(lengths, LEVELS).tolist()))
    return Constant(Prediction(mean, mean, seconds, around))
