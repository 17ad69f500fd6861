"""SSJF's ordinal regression (arXiv 2404.08509): a proxy model's head says the number of the answer's length class.

The paper's proxy is BERT-base, itself trained for three epochs; here it is MiniLM, frozen: the head alone is learned.
The paper rounds to a class; here the number between two classes is kept, so that fewer requests tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.heads import Matrix, Perceptron, Training, examples
from policies.predictor.length_classes import LengthClasses, length_classes
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_inputs import sentences_of
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry


@dataclass(frozen=True, slots=True, eq=False)
class Ordinal(Predictor):
    """The length between the means of the two classes that `head` puts the answer between."""

    classes: LengthClasses
    head: Perceptron
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        log_length = float(log_lengths_of(self.classes, self.head(sentences_of([request])[0]))[0])
        return self.residuals.prediction(log_length, self.seconds)


def log_lengths_of(classes: LengthClasses, numbers: Matrix) -> Matrix:
    """The log of the length at each number of a class, straight between the classes' means."""
    return np.log(np.interp(numbers, range(len(classes.means)), classes.means))


def fit_ssjf_ordinal(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, training: Training, seconds: float
) -> Ordinal:
    """Fit by squared error on the class number, the mean one of a request with several answers."""
    inputs, sampled, _ = examples(requests, answers)
    classes = length_classes(answers)
    target = np.array([np.mean([classes.of(length) for length in lengths]) for lengths in answers])

    def foretell(rows: Rows, held: Rows) -> Matrix:
        return log_lengths_of(classes, training.regression(inputs[rows], target[rows])(inputs[held])[:, 0])

    return Ordinal(classes, training.regression(inputs, target), out_of_fold(sampled, foretell), seconds)
