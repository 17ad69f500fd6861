"""Kernel ridge: a prompt's answer is as long as those to the prompts that are like it, in words, in shape and in sense.

The kernel is the mean of three: TF-IDF's cosine, and radial ones over text statistics and over the hidden states of the
sentence encoder's lower layers, which say more of an answer's length than its last one does. It is fitted to ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.predictors.answers import log_lengths
from policies.predictors.encoder import encoder, normalized
from policies.predictors.residuals import Residuals, Rows, out_of_fold
from policies.predictors.text_statistics import statistics_of, text_of
from policies.predictors.tfidf import Terms, vectorizer
from sim.prediction import Prediction
from sim.request import Request

Array = NDArray[np.float32]
FAR = 4.0  # standard deviations at which an input is cut
SHARES = {"words": 0.25, "shape": 0.25, "sense": 0.5}  # of the kernel


@dataclass(frozen=True, slots=True, eq=False)
class Radial:
    """A kernel exp(-width * mean squared difference) to the training rows, of standardized inputs.

    `centre` and `scale` standardize; `rows` are the training prompts' inputs, standardized, (prompts, inputs).
    """

    centre: Array
    scale: Array
    rows: Array
    width: float

    @classmethod
    def of(cls, inputs: Array, width: float) -> Radial:
        """The kernel to the prompts of `inputs`."""
        scale = inputs.std(axis=0)
        scale[scale == 0] = 1.0
        bare = cls(inputs.mean(axis=0), scale, inputs, width)
        return cls(bare.centre, bare.scale, bare.standard(inputs), width)

    def standard(self, inputs: Array) -> Array:
        """`inputs` in standard deviations from the training prompts' mean."""
        return np.asarray(np.clip((inputs - self.centre) / self.scale, -FAR, FAR), dtype=np.float32)

    def to(self, standard: Array) -> Array:
        """The likeness of each of some standardized inputs to each training prompt, (inputs, prompts)."""
        squares = (standard**2).sum(axis=1)[:, None] + (self.rows**2).sum(axis=1) - 2 * standard @ self.rows.T
        return np.asarray(np.exp(-self.width / standard.shape[1] * np.maximum(squares, 0)), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class KernelRidge:
    """The predicted rank of an answer among the training answers, told as the length that has it.

    `weights` are of the training prompts; the linear kernel's part is folded into `terms`. `log_quantiles` are the
    training answers' log lengths at evenly spaced ranks from 0 to 1.
    """

    terms: Terms
    shape: Radial
    sense: Radial
    layers: int
    weights: Array
    intercept: float
    log_quantiles: NDArray[np.float64]
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        text = text_of(request)
        likeness = SHARES["shape"] * self.shape.to(self.shape.standard(statistics_of([request])))
        likeness += SHARES["sense"] * self.sense.to(self.sense.standard(senses([text], self.layers)))
        rank = self.intercept + float((likeness @ self.weights)[0]) + self.terms.of(text)
        return self.residuals.prediction(float(at_rank(self.log_quantiles, rank)), self.seconds)


def senses(texts: Sequence[str], layers: int) -> Array:
    """The token means of the encoder's first `layers` layers, each at length 1, side by side: (texts, layers * 384)."""
    return normalized(encoder().layers(texts)[:, :layers]).reshape(len(texts), -1)


def at_rank(log_quantiles: NDArray[np.float64], ranks: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The log length at a rank; outside [0, 1] the curve goes on straight, so that the order is kept."""
    places = np.linspace(0, 1, len(log_quantiles))
    inside = np.interp(ranks, places, log_quantiles)
    return np.asarray(inside + (np.asarray(ranks) - np.clip(ranks, 0, 1)))


def fit_kernel_ridge(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    seconds: float,
    ridge: float = 0.25,
    width: float = 0.6,
    layers: int = 4,
    max_terms: int = 50_000,
) -> KernelRidge:
    """Fit to the mean rank of each request's `answers` (tokens, one or more each) among all training answers.

    The three kernels do without the held-out rows' answers, not without their words: TF-IDF's rarities and the
    standardization are of all training rows, in the folds that the residuals are learned from too.
    """
    from scipy.linalg import cho_factor, cho_solve

    sampled = log_lengths(requests, answers)
    pooled = np.sort(np.concatenate(sampled))
    middle = [(np.searchsorted(pooled, logs) + np.searchsorted(pooled, logs, side="right")) / 2 for logs in sampled]
    target = np.array([ranks.mean() for ranks in middle]) / len(pooled)
    log_quantiles = np.quantile(pooled, np.linspace(0, 1, 201))

    texts = [text_of(request) for request in requests]
    words = vectorizer(max_terms)
    cosines = words.fit_transform(texts)
    shape = Radial.of(statistics_of(requests), width)
    sense = Radial.of(senses(texts, layers), width)
    kernel = SHARES["words"] * (cosines @ cosines.T).toarray().astype(np.float32)
    for share, part in ((SHARES["shape"], shape), (SHARES["sense"], sense)):
        kernel += np.float32(share) * part.to(part.rows)

    def solve(rows: Rows) -> Array:
        part = kernel[np.ix_(rows, rows)] + np.float32(ridge) * np.eye(len(rows), dtype=np.float32)
        centred = (target[rows] - target[rows].mean()).astype(np.float32)
        return np.asarray(cho_solve(cho_factor(part, overwrite_a=True), centred), dtype=np.float32)

    def foretell(training: Rows, held: Rows) -> NDArray[np.float64]:
        ranks = kernel[np.ix_(held, training)] @ solve(training) + target[training].mean()
        return at_rank(log_quantiles, ranks.astype(np.float64))

    weights = solve(np.arange(len(target)))
    columns = {term: int(column) for term, column in words.vocabulary_.items()}
    terms = Terms(columns, words.idf_.astype(np.float32), np.float32(SHARES["words"]) * (cosines.T @ weights))
    residuals = out_of_fold(sampled, foretell)
    return KernelRidge(
        terms, shape, sense, layers, weights, float(target.mean()), log_quantiles, residuals, seconds
    )  # fmt: skip
