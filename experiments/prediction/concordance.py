"""Kendall's tau-b against several answers a prompt, of many resamples of the prompts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 512  # prompts whose pairs with all others are in memory at once

Floats = NDArray[np.float64]


def resamples(rng: np.random.Generator, prompts: int, count: int) -> Floats:
    """How often each prompt stands in each sample (prompts, 1 + count): once in the first, then bootstraps."""
    drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=count).T
    return np.concatenate([np.ones((prompts, 1)), drawn], axis=1)


def taus(
    predictions: Mapping[str, NDArray[np.generic]], answers: NDArray[np.generic], weights: Floats
) -> dict[str, Floats]:
    """Each predictor's tau-b in each of the samples `weights`, as `resamples` makes them.

    `answers` are (prompts, samples); tau is taken against each column and averaged. A prediction is one for each
    prompt, or (prompts, samples): another for each column. Where all are tied it is 0. tau is a ratio of sums over
    pairs of prompts, w' C w, so C is worked out once, not once a resample. What ties in the answers do to the ratio is
    exact for each resample on the average over columns, not for each column.
    """
    untied = _untied(answers, weights)
    sums = {name: np.zeros(weights.shape[1]) for name in predictions}
    ties = {name: _untied(predicted.reshape(len(answers), -1), weights) for name, predicted in predictions.items()}
    scales = {name: _inverse_root(untied[:, 0] * pairs[:, 0]) for name, pairs in ties.items()}
    narrow = weights.astype(np.float32)
    for start in range(0, len(answers), BLOCK):
        rows = slice(start, start + BLOCK)
        signs = [_signs(column, rows) for column in answers.T]
        mean = _weighted(signs, _inverse_root(untied[:, 0]))
        for name, predicted in predictions.items():
            if predicted.ndim == 1:
                concordance = _signs(predicted, rows) * mean * np.float32(_inverse_root(ties[name][0, 0]))
            else:
                concordance = _weighted(
                    [_signs(column, rows) * sign for column, sign in zip(predicted.T, signs, strict=True)], scales[name]
                )
            sums[name] += (weights[rows] * (concordance @ narrow)).sum(axis=0) / 2
    for name, total in sums.items():
        if scales[name].all():
            total *= (_inverse_root(untied * ties[name]) / scales[name][:, None]).mean(axis=0)
    return sums


def taus_within(
    predictions: Mapping[str, NDArray[np.generic]],
    answers: NDArray[np.generic],
    weights: Floats,
    groups: NDArray[np.generic],
) -> dict[str, dict[str, Floats]]:
    """Group -> predictor -> tau among that group's prompts alone, in each sample."""
    found = {}
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        part = {name: predicted[rows] for name, predicted in predictions.items()}
        found[str(group)] = taus(part, answers[rows], weights[rows])
    return found


def _signs(values: NDArray[np.generic], rows: slice) -> NDArray[np.float32]:
    """+1, 0 or -1 for each prompt of `rows` against each of all: above, tied, below."""
    ranks = np.unique(values, return_inverse=True)[1].astype(np.float32)
    return np.sign(ranks[rows, None] - ranks[None, :])


def _weighted(matrices: Sequence[NDArray[np.float32]], factors: Floats) -> NDArray[np.float32]:
    """The mean of `matrices`, each times its factor."""
    total = np.zeros_like(matrices[0])
    for matrix, factor in zip(matrices, factors, strict=True):
        total += np.float32(factor / len(matrices)) * matrix
    return total


def _untied(columns: NDArray[np.generic], weights: Floats) -> Floats:
    """Pairs of prompts with different values in each column, in each sample: (columns, samples)."""
    found = []
    for values in columns.T:
        _, inverse = np.unique(values, return_inverse=True)
        totals = np.zeros((inverse.max() + 1, weights.shape[1]))
        np.add.at(totals, inverse, weights)
        found.append((weights.sum(axis=0) ** 2 - (totals**2).sum(axis=0)) / 2)
    return np.array(found)


def _inverse_root(pairs: Floats) -> Floats:
    """1 / sqrt, and 0 where all are tied: there tau is 0."""
    return np.where(pairs > 0.5, 1 / np.sqrt(np.maximum(pairs, 0.5)), 0.0)
