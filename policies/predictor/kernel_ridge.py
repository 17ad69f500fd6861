"""Kernel ridge: a prompt's answer is as long as those to the prompts that are like it, in words, in shape and in sense.

The kernel is a sum of three: TF-IDF's cosine, and radial ones over text statistics and over the hidden states of a
sentence encoder's layers, of which the middle ones say more of an answer's length than the last does. The radial ones
are worked out against some training prompts alone, the landmarks (Nystrom's method), so that a fit is small. It is
fitted to ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.encoder import WIDTH, Array
from policies.predictor.ranks import Ranks, ranked
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_inputs import FARTHEST, TextInputs, fit_inputs
from policies.predictor.text_statistics import text_of
from policies.predictor.tfidf import Terms, vectorizer
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry
GRAIN = np.float32(FARTHEST / 15)  # landmarks are kept in steps of this: finer ones foretell no better, and take more
FEWEST = 20  # training requests


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Training prompts, as rows of inputs in steps of `GRAIN`, of which the first `statistics` columns are statistics.

    Likeness is exp(-width * mean squared difference) of the statistics, and `states` times that of the layers.
    """

    rows: NDArray[np.int8]
    statistics: int
    width: float
    states: float

    def likeness(self, inputs: Array) -> Array:
        """Of each row of `inputs` to each landmark."""
        found = np.zeros((len(inputs), len(self.rows)), dtype=np.float32)
        for weight, part, marks, squares in self._parts:
            own = inputs[:, part]
            distances = (own**2).sum(axis=1)[:, None] + squares - 2 * own @ marks.T
            found += weight * np.exp(np.minimum(distances * np.float32(-self.width / marks.shape[1]), 0))
        return found

    @cached_property
    def _parts(self) -> list[tuple[np.float32, slice, Array, Array]]:
        """The weight, the columns, the landmarks and their squared lengths, of each radial kernel."""
        parts = [(1.0, slice(0, self.statistics)), (self.states, slice(self.statistics, None))]
        marks = [(np.float32(weight), part, self.rows[:, part] * GRAIN) for weight, part in parts]
        return [(weight, part, mark, (mark**2).sum(axis=1)) for weight, part, mark in marks if mark.size]


@dataclass(frozen=True, slots=True, eq=False)
class KernelRidge(Predictor):
    """Rank = intercept + weights . likeness + terms; `ranks` and `residuals` make a length and a distribution of it."""

    inputs: TextInputs
    landmarks: Landmarks
    weights: NDArray[np.float32]
    terms: Terms
    intercept: float
    ranks: Ranks
    residuals: Residuals
    seconds: float

    def rank(self, request: Request) -> float:
        """Where the answer is expected among all training answers, about 0 to 1."""
        likeness = self.landmarks.likeness(self.inputs.of([request]))[0]
        return self.intercept + float(likeness @ self.weights) + self.terms.of(text_of(request))

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        return self.residuals.prediction(float(self.ranks.log_length(self.rank(request))), self.seconds)


def fit_kernel_ridge(requests: Sequence[Request], answers: Sequence[Sequence[int]], **settings: Any) -> KernelRidge:
    """Fit to the mean rank of each request's `answers` (tokens, one or more each); settings as in `fit_ranks`."""
    return fit_ranks(requests, answers, **settings)[0]


def fit_ranks(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    seconds: float,
    layers: Sequence[int],
    landmarks: int,
    width: float,
    states: float,
    ridge: float,
    max_terms: int,
    seed: int,
) -> tuple[KernelRidge, NDArray[np.float64]]:
    """The fit, and the rank that a fit to others foretells of each training request.

    `landmarks` of the requests are drawn by `seed`; `states` weighs the layers against the statistics and the terms.
    """
    if len(requests) < FEWEST:
        raise ValueError(f"kernel ridge needs {FEWEST} training requests or more, got {len(requests)}")
    sampled = log_lengths(requests, answers)
    ranks, each = ranked(sampled)
    target = np.array([one.mean() for one in each])
    scaling = fit_inputs(requests, layers)
    inputs = scaling.of(requests)
    chosen = np.random.default_rng(seed).permutation(len(requests))[:landmarks]
    rows = np.rint(inputs[chosen] / GRAIN).astype(np.int8)
    marks = Landmarks(rows, inputs.shape[1] - WIDTH * len(layers), width, states)
    words = vectorizer(max_terms)
    terms = words.fit_transform([text_of(request) for request in requests])
    near = marks.likeness(inputs)
    root = _inverse_root(marks.likeness(marks.rows * GRAIN))
    features = near @ root
    total = np.float32(2 + states)
    kernel = (features @ features.T + (terms @ terms.T).toarray()) / total
    foretold = np.zeros(len(requests))

    def dual(rows: Rows) -> tuple[NDArray[np.float64], float]:
        from scipy.linalg import cho_factor, cho_solve

        mean, spread = target[rows].mean(), target[rows].std() or 1.0
        gram = kernel[np.ix_(rows, rows)] + np.float32(ridge) * np.eye(len(rows), dtype=np.float32)
        return cho_solve(cho_factor(gram), (target[rows] - mean) / spread) * spread, float(mean)

    def foretell(training: Rows, held: Rows) -> NDArray[np.float64]:
        weights, mean = dual(training)
        foretold[held] = mean + kernel[np.ix_(held, training)] @ weights
        return ranks.log_length(foretold[held])

    residuals = out_of_fold(sampled, foretell)
    weights, mean = dual(np.arange(len(requests)))
    columns = {term: int(column) for term, column in words.vocabulary_.items()}
    linear = Terms(columns, words.idf_.astype(np.float32), np.asarray(terms.T @ weights / total, dtype=np.float32))
    against = np.asarray(root @ (features.T @ weights) / total, dtype=np.float32)
    return KernelRidge(scaling, marks, against, linear, mean, ranks, residuals, seconds), foretold


def _inverse_root(gram: Array) -> Array:
    """The symmetric inverse square root of `gram`, without its directions of no weight."""
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    kept = values > 1e-6 * values[-1]
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T, dtype=np.float32)
