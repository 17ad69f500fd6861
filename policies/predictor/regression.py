"""Regressions from the prompt to the output length: log-linear in its length, in the scores of rules, or in both.

Three rungs of RT-LM's ladder: the input's length alone, the weighted rules (all weights fitted jointly, by ridge [A]),
and, beyond the paper, both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.columns import Columns, of_rules
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = of_rules  # what a request must carry


@dataclass(frozen=True, slots=True)
class LengthRegression(Predictor):
    """Mean log length = intercept + weights . columns; `residuals` make a length and a distribution of it.

    `seconds` is what one prediction costs, text features included. RT-LM's uncertainty score u_J is this length.
    """

    columns: Columns
    intercept: float
    weights: tuple[float, ...]
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        inputs = self.columns.of(request)
        log_length = self.intercept + sum([w * x for w, x in zip(self.weights, inputs, strict=True)])
        return self.residuals.prediction(log_length, self.seconds)


def fit_length_regression(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    prompt_length: bool,
    rules: Sequence[int],
    seconds: float,
    ridge: float = 1.0,
) -> LengthRegression:
    """Fit by ridge least squares on the mean log length of each request's `answers` (tokens, one or more each)."""
    columns = Columns(prompt_length, tuple(rules))
    if len(requests) < len(columns) + 2:
        raise ValueError(f"a regression on {len(columns)} columns needs more training requests than {len(requests)}")
    sampled = log_lengths(requests, answers)
    inputs = columns.table(requests)
    target = np.array([logs.mean() for logs in sampled])

    def foretell(training: Rows, held: Rows) -> NDArray[np.float64]:
        intercept, weights = _least_squares(inputs[training], target[training], ridge)
        return np.asarray(intercept + inputs[held] @ weights)

    intercept, weights = _least_squares(inputs, target, ridge)
    return LengthRegression(columns, intercept, tuple(weights.tolist()), out_of_fold(sampled, foretell), seconds)


def _least_squares(
    inputs: NDArray[np.float64], target: NDArray[np.float64], ridge: float
) -> tuple[float, NDArray[np.float64]]:
    """The intercept and the weights, with a `ridge` on the weights of standardised inputs."""
    centre = inputs.mean(axis=0)
    scale = inputs.std(axis=0)
    scale[scale == 0] = 1.0
    standard = (inputs - centre) / scale
    gram = standard.T @ standard + ridge * np.eye(standard.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (target - target.mean())) / scale
    return float(target.mean() - weights @ centre), weights
