"""ALISE-like (arXiv 2410.23537, known from its abstract and summaries alone): ask the prompts served before.

A prompt like ones seen before gets the weighted mean of their lengths; any other a network's guess. The paper's encoder
is BERT, here it is MiniLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.predictor.heads import Matrix, Perceptron, Training, examples
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_inputs import sentences_of
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry


@dataclass(frozen=True, slots=True, eq=False)
class Alise(Predictor):
    """The prompts seen (an embedding of length 1 each) with their mean `lengths`, tokens, and a network for the rest.

    Of the `nearest` prompts those count whose cosine similarity is `threshold` or more. The spread about a length is
    that of the network's residuals, for a retrieved length too.
    """

    seen: Matrix
    lengths: Matrix
    nearest: int
    threshold: float
    head: Perceptron
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        prompt = sentences_of([request])[0]
        length = self.retrieve(prompt)
        if length is None:
            return self.residuals.prediction(float(self.head(prompt)[0]), self.seconds)
        return Prediction(length, length, self.seconds, self.residuals.distribution(length))

    def retrieve(self, prompt: Matrix) -> float | None:
        """The mean length of the prompts like the one embedded so, weighted by similarity; None without any."""
        similarity = self.seen @ prompt
        nearest = np.argsort(-similarity, kind="stable")[: self.nearest]
        alike = nearest[similarity[nearest] >= self.threshold]
        return float(np.average(self.lengths[alike], weights=similarity[alike])) if len(alike) else None


def fit_alise(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    nearest: int,
    threshold: float,
    training: Training,
    seconds: float,
) -> Alise:
    """Remember each request with its `answers`, and fit the network to their mean log length."""
    if nearest < 1 or not 0 < threshold <= 1:
        raise ValueError(f"nearest must be 1 or more and threshold within (0, 1], got {nearest} and {threshold}")
    inputs, sampled, target = examples(requests, answers)

    def foretell(rows: Rows, held: Rows) -> Matrix:
        return training.regression(inputs[rows], target[rows])(inputs[held])[:, 0]

    head = training.regression(inputs, target)
    lengths = np.array([np.mean(sample) for sample in answers])
    return Alise(inputs, lengths, nearest, threshold, head, out_of_fold(sampled, foretell), seconds)
