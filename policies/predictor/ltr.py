"""LTR (arXiv 2408.15792): a network that learns the order of answers' lengths, by ListMLE, rather than lengths.

The paper trains OPT-125M with a scalar head; that model is not to be had offline, so the head here is a network on
MiniLM's frozen embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policies.predictor.heads import Matrix, Perceptron, Training, examples
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_inputs import sentences_of
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """From a score to a mean log length: straight between `scores`, which rise, and their `log_lengths`, which fall."""

    scores: Matrix
    log_lengths: Matrix

    def __call__(self, scores: Matrix) -> Matrix:
        """The mean log length at each score."""
        return np.asarray(np.interp(scores, self.scores, self.log_lengths))


@dataclass(frozen=True, slots=True, eq=False)
class LTR(Predictor):
    """A score by `head`, higher for a shorter answer, and the length that `calibration` makes of it."""

    head: Perceptron
    calibration: Calibration
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        score = self.head(sentences_of([request])[0])
        return self.residuals.prediction(float(self.calibration(score)[0]), self.seconds)


def list_mle(scores: Any) -> Any:
    """Sum over i of log(sum over k >= i of exp(score k)) - score i, of a torch vector in the right order."""
    return (scores.flip(0).logcumsumexp(0).flip(0) - scores).sum()


def calibrate(scores: Matrix, log_lengths: Matrix) -> Calibration:
    """Isotonic regression, with each of its plateaus put at its mean score, so that unequal scores seldom tie."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(increasing=False).fit_transform(scores, log_lengths)
    values, plateau = np.unique(fitted, return_inverse=True)
    means = np.bincount(plateau, scores) / np.bincount(plateau)
    return Calibration(means[::-1], values[::-1])


def fit_ltr(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, training: Training, bucket: int, seconds: float
) -> LTR:
    """Fit by ListMLE on lists of a training batch; lengths within one `bucket` (tokens) tie, in random order."""
    inputs, sampled, target = examples(requests, answers)
    buckets = np.exp(target) // bucket

    def fit(rows: Rows) -> tuple[Perceptron, Calibration]:
        labels = buckets[rows]

        def loss(outputs: Any, batch: Rows) -> Any:
            shorter_first = np.argsort(labels[batch], kind="stable")  # a batch comes in random order, so ties do too
            return list_mle(outputs[shorter_first, 0])

        head = training.network(inputs[rows], 1, loss)
        return head, calibrate(head(inputs[rows])[:, 0], target[rows])

    def foretell(rows: Rows, held: Rows) -> Matrix:
        head, calibration = fit(rows)
        return calibration(head(inputs[held])[:, 0])

    return LTR(*fit(np.arange(len(target))), out_of_fold(sampled, foretell), seconds)
