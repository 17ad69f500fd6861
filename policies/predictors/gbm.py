"""Gradient-boosted trees (LightGBM) on a prompt's text statistics: the mean of the log length, and its quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictors.answers import log_lengths
from policies.predictors.text_statistics import statistics_of
from sim.prediction import Distribution, Prediction
from sim.request import Request

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
CALIBRATING = 0.25  # share of the training rows that the quantiles are not fitted to, but set right by
ANSWERS = 5  # of each request at most, that the quantiles are fitted to


@dataclass(frozen=True, slots=True, eq=False)
class BoostedTrees:
    """Trees for the mean log length, `smearing` from it to the mean (Duan 1983), and trees for each of `LEVELS`.

    `shifts` are added to the quantiles' logs: they make the share of the calibrating answers below each what its level
    says (a split-conformal correction, level by level). Lengths stay within the training answers', tokens.
    """

    mean: Any
    quantiles: tuple[Any, ...]
    shifts: tuple[float, ...]
    smearing: float
    shortest: float
    longest: float
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        inputs = statistics_of([request])
        length = self._bounded(self.smearing * math.exp(self.mean.predict(inputs)[0]))
        logs = [trees.predict(inputs)[0] + shift for trees, shift in zip(self.quantiles, self.shifts, strict=True)]
        spread = Distribution(LEVELS, tuple(sorted(self._bounded(math.exp(log)) for log in logs)))
        return Prediction(length, length, self.seconds, spread)

    def _bounded(self, length: float) -> float:
        return float(min(max(length, self.shortest), self.longest))


def fit_gbm(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    seconds: float,
    trees: int = 300,
    leaves: int = 15,
    learning_rate: float = 0.05,
    smallest_leaf: int = 20,
) -> BoostedTrees:
    """Fit to the logs of each request's `answers` (tokens, one or more each); ValueError below 20 requests."""
    import lightgbm

    if len(requests) < 20:
        raise ValueError(f"boosted trees with calibrated quantiles need 20 training requests or more: {len(requests)}")
    sampled = log_lengths(requests, answers)
    inputs = statistics_of(requests)
    settings = {
        "num_leaves": leaves,
        "learning_rate": learning_rate,
        "min_data_in_leaf": smallest_leaf,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "num_threads": 1,
        "deterministic": True,
        "seed": 0,
        "verbose": -1,
    }

    def fit(rows: NDArray[np.intp], target: NDArray[np.float64], **objective: Any) -> Any:
        return lightgbm.train({**settings, **objective}, lightgbm.Dataset(inputs[rows], target), trees)

    target = np.array([logs.mean() for logs in sampled])
    order = np.random.default_rng(0).permutation(len(target))
    held, kept = np.split(order, [int(len(order) * CALIBRATING)])
    repeated = np.concatenate([np.full(min(ANSWERS, len(sampled[row])), row) for row in kept])
    few = np.concatenate([sampled[row][:ANSWERS] for row in kept])
    quantiles = tuple(fit(repeated, few, objective="quantile", alpha=level) for level in LEVELS)

    def left(of: Any) -> NDArray[np.float64]:
        """What the calibrating answers' logs are above what the trees `of` say."""
        return np.concatenate([sampled[row] - said for row, said in zip(held, of.predict(inputs[held]), strict=True)])

    shifts = [float(np.quantile(left(of), level)) for of, level in zip(quantiles, LEVELS, strict=True)]
    lengths = np.exp(np.concatenate(sampled))
    return BoostedTrees(
        mean=fit(np.arange(len(target)), target, objective="regression"),
        quantiles=quantiles,
        shifts=tuple(shifts),
        smearing=float(np.exp(left(fit(kept, target[kept], objective="regression"))).mean()),
        shortest=float(lengths.min()),
        longest=float(lengths.max()),
        seconds=seconds,
    )
