"""RT-LM's LW: a small neural network from the rule scores and the prompt's length to the output length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.answers import log_lengths
from policies.predictor.columns import Columns, of_rules
from policies.predictor.heads import FEWEST, Perceptron, Training
from policies.predictor.residuals import Residuals, out_of_fold
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = of_rules  # what a request must carry


@dataclass(frozen=True, slots=True)
class LW(Predictor):
    """Mean log length by a network; `residuals` make a length and a distribution of it. `seconds` of one prediction."""

    columns: Columns
    network: Perceptron
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens, which is RT-LM's uncertainty score u_J too."""
        return self.residuals.prediction(float(self.network(np.array(self.columns.of(request)))[0]), self.seconds)


def fit_lw(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    rules: Sequence[int],
    training: Training,
    seconds: float,
) -> LW:
    """Train on the mean log length of each request's `answers`, by squared error."""
    columns = Columns(True, tuple(rules))
    if len(requests) < FEWEST:
        raise ValueError(f"LW needs {FEWEST} training requests or more, got {len(requests)}")
    sampled = log_lengths(requests, answers)
    inputs = columns.table(requests)
    target = np.array([logs.mean() for logs in sampled])
    residuals = out_of_fold(
        sampled, lambda rows, held: training.regression(inputs[rows], target[rows])(inputs[held])[:, 0]
    )
    return LW(columns, training.regression(inputs, target), residuals, seconds)
