"""A fitted regression from the prompt to the output length: log-linear in the prompt's length and its rule scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.predictors.answers import log_lengths
from sim.prediction import Prediction
from sim.request import Request


def columns(request: Request, feature_count: int) -> tuple[float, ...]:
    """The regression's inputs: log prompt tokens, then the first `feature_count` features; ValueError if they lack."""
    if len(request.features) < feature_count:
        raise ValueError(
            f"request {request.id} carries {len(request.features)} text features, this predictor needs "
            f"{feature_count}; a trace without text wants predictor=prompt_length"
        )
    return (math.log(request.prompt_tokens), *request.features[:feature_count])


@dataclass(frozen=True, slots=True)
class LengthRegression:
    """length = smearing * exp(intercept + weights . columns), within the lengths that the training set had, tokens.

    `smearing` turns the mean of the log into the mean (Duan 1983). `seconds` is what one prediction costs, text
    features included. RT-LM's uncertainty score u_J is this predicted length.
    """

    intercept: float
    weights: tuple[float, ...]
    smearing: float
    shortest: float
    longest: float
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        inputs = columns(request, len(self.weights) - 1)
        log_length = self.intercept + sum(w * x for w, x in zip(self.weights, inputs, strict=True))
        ceiling = math.log(self.longest)
        length = self.smearing * math.exp(min(log_length, ceiling))
        length = min(max(length, self.shortest), self.longest)
        return Prediction(length=length, uncertainty=length, seconds=self.seconds)


def fit_length_regression(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    feature_count: int,
    seconds: float,
    ridge: float = 1.0,
) -> LengthRegression:
    """Fit by ridge least squares on the mean log length of each request's `answers` (tokens, one or more each)."""
    if len(requests) < feature_count + 3:
        raise ValueError(
            f"a regression on {feature_count + 1} columns needs more training requests than {len(requests)}"
        )
    sampled = log_lengths(requests, answers)
    inputs: NDArray[np.float64] = np.array([columns(request, feature_count) for request in requests])
    target = np.array([logs.mean() for logs in sampled])
    centre = inputs.mean(axis=0)
    scale = inputs.std(axis=0)
    scale[scale == 0] = 1.0
    standard = (inputs - centre) / scale
    gram = standard.T @ standard + ridge * np.eye(standard.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (target - target.mean())) / scale
    intercept = float(target.mean() - weights @ centre)
    fitted = intercept + inputs @ weights
    residuals = np.concatenate([logs - mean for logs, mean in zip(sampled, fitted, strict=True)])
    return LengthRegression(
        intercept=intercept,
        weights=tuple(float(weight) for weight in weights),
        smearing=float(np.exp(residuals).mean()),
        shortest=float(min(map(min, answers))),
        longest=float(max(map(max, answers))),
        seconds=seconds,
    )
