"""Sentence-embedding regressor: ridge from MiniLM's embedding of the prompt to the rank of the answer's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.ranks import Ranks, ranked
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_inputs import sentences_of
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingRidge(Predictor):
    """Rank = intercept + weights . embedding; `ranks` and `residuals` make a length and a distribution of it."""

    weights: NDArray[np.float32]
    intercept: float
    ranks: Ranks
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        embedding = sentences_of([request])[0]
        rank = self.intercept + float(embedding @ self.weights)
        return self.residuals.prediction(float(self.ranks.log_length(rank)), self.seconds)


def fit_minilm(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, seconds: float, ridge: float
) -> EmbeddingRidge:
    """Fit to the mean rank of each request's `answers` (tokens, one or more each)."""
    sampled = log_lengths(requests, answers)
    ranks, each = ranked(sampled)
    target = np.array([one.mean() for one in each])
    inputs = sentences_of(requests).astype(np.float64)

    def fit(rows: Rows) -> tuple[NDArray[np.float64], float]:
        centre, mean = inputs[rows].mean(axis=0), target[rows].mean()
        own = inputs[rows] - centre
        weights = np.linalg.solve(own.T @ own + ridge * np.eye(own.shape[1]), own.T @ (target[rows] - mean))
        return weights, float(mean - weights @ centre)

    def foretell(training: Rows, held: Rows) -> NDArray[np.float64]:
        weights, intercept = fit(training)
        return ranks.log_length(inputs[held] @ weights + intercept)

    weights, intercept = fit(np.arange(len(target)))
    return EmbeddingRidge(weights.astype(np.float32), intercept, ranks, out_of_fold(sampled, foretell), seconds)
