"""SSJF's classifier (arXiv 2404.08509): a proxy model's two-layer head says in which class the answer's length is.

The paper's proxy is BERT-base, itself trained for three epochs; here it is MiniLM, frozen: the head alone is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.heads import Matrix, Perceptron, Training, examples
from policies.predictor.length_classes import LengthClasses, length_classes
from policies.predictor.text_inputs import sentences_of
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry


@dataclass(frozen=True, slots=True, eq=False)
class Classifier(Predictor):
    """The expected length over classes, each as probable as `head` says and weighed by its share of the training set.

    `shares` undo the class weights of the loss, under which a rare class is foretold as often as a common one.
    """

    classes: LengthClasses
    shares: Matrix
    head: Perceptron
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens, and the probabilities of the classes as a histogram."""
        scores = self.head(sentences_of([request])[0])
        masses = np.exp(scores - scores.max()) * self.shares
        masses /= masses.sum()
        length = float(masses @ self.classes.means)
        return Prediction(length, length, self.seconds, Distribution.of_histogram(self.classes.edges, masses.tolist()))


def fit_ssjf_classifier(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, training: Training, seconds: float
) -> Classifier:
    """Fit by class-weighted log loss; of a request with several answers each has its part in the loss."""
    import torch

    inputs, _, _ = examples(requests, answers)
    classes = length_classes(answers)
    parts = np.zeros((len(inputs), len(classes.means)))
    for row, lengths in enumerate(answers):
        for length in lengths:
            parts[row, classes.of(length)] += 1 / len(lengths)
    shares = parts.mean(axis=0)
    weighted = torch.from_numpy((parts / shares).astype(np.float32))
    head = training.network(
        inputs,
        len(shares),
        lambda outputs, rows: -(weighted[rows] * outputs.log_softmax(1)).sum() / weighted[rows].sum(),
    )
    return Classifier(classes, shares, head, seconds)
