"""RT-LM's LW: a small neural network from the rule scores and the prompt's length to the output length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictors.answers import log_lengths
from policies.predictors.columns import Columns
from policies.predictors.heads import Perceptron, centre_and_scale
from policies.predictors.residuals import Residuals, Rows, out_of_fold
from sim.prediction import Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class LW:
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
    hidden: Sequence[int],
    learning_rate: float,
    batch: int,
    held_out: float,
    epochs: int,
    seconds: float,
    seed: int,
) -> LW:
    """Fit by Adam and squared error on the mean log length, until a share `held_out` of the rows gets no better.

    Steps of `batch` rows, at most `epochs` times over all of them. Needs scikit-learn.
    """
    columns = Columns(True, tuple(rules))
    if len(requests) < 20:
        raise ValueError(f"a network on {len(columns)} columns needs 20 training requests or more, got {len(requests)}")
    sampled = log_lengths(requests, answers)
    inputs = columns.table(requests)
    target = np.array([logs.mean() for logs in sampled])

    def train(rows: Rows) -> Perceptron:
        from sklearn.neural_network import MLPRegressor

        centre, scale = centre_and_scale(inputs[rows])
        model = MLPRegressor(
            hidden_layer_sizes=tuple(hidden),
            learning_rate_init=learning_rate,
            batch_size=batch,
            early_stopping=True,
            validation_fraction=held_out,
            max_iter=epochs,
            random_state=seed,
        )
        model.fit((inputs[rows] - centre) / scale, target[rows])
        return Perceptron(centre, scale, tuple(zip(model.coefs_, model.intercepts_, strict=True)))

    residuals = out_of_fold(sampled, lambda training, held: train(training)(inputs[held])[:, 0])
    return LW(columns, train(np.arange(len(requests))), residuals, seconds)
