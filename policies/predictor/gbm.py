"""Gradient-boosted quantiles over what kernel ridge foretells and the text's statistics, with a conformal interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.forest import Forest, grow
from policies.predictor.kernel_ridge import KernelRidge, fit_ranks
from policies.predictor.ranks import ranked
from policies.predictor.text_statistics import statistics_of
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry
LEVELS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class BoostedQuantiles(Predictor):
    """Quantiles at `LEVELS` of the answer's rank by `forest`, whose first input is the rank that `kernel` foretells.

    The outermost are moved outwards by `margin`: so they hold 90 % of the answers that neither fit had seen (Romano et
    al. 2019, conformalized quantile regression).
    """

    kernel: KernelRidge
    forest: Forest
    margin: float
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens, and its quantiles."""
        inputs = np.append(self.kernel.rank(request), statistics_of([request])[0]).astype(np.float32)
        quantiles = self.forest(inputs.astype(np.float64)) + self.margin * _OUTWARDS
        lengths = np.exp(self.kernel.ranks.log_length(np.clip(np.sort(quantiles), 0.0, 1.0)))
        around = Distribution(LEVELS, tuple(lengths.tolist()))
        return Prediction(around.mean, around.mean, self.seconds, around)


_OUTWARDS = np.array([-1.0, *[0.0] * (len(LEVELS) - 2), 1.0])


def fit_gbm(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    seconds: float,
    kernel: Mapping[str, Any],
    trees: int,
    boosting: Mapping[str, Any],
    samples: int,
    held_out: float,
    seed: int,
) -> BoostedQuantiles:
    """Fit to `answers` (tokens, one or more each): `kernel` are the settings of `fit_ranks`, `boosting` LightGBM's.

    Of each request up to `samples` answers train the trees; a share `held_out` of the requests sets the margin.
    """
    ridge, foretold = fit_ranks(requests, answers, seconds=0.0, **kernel)
    _, each = ranked(log_lengths(requests, answers))
    inputs = np.column_stack([foretold, statistics_of(requests)]).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(requests))
    held, training = np.split(order, [max(1, round(held_out * len(order)))])
    few = {row: each[row][:samples] for row in training}
    repeated = np.repeat(training, [len(few[row]) for row in training])
    forest = grow(
        inputs[repeated], np.concatenate([few[row] for row in training]), LEVELS, {**boosting, "seed": seed}, trees
    )
    said = [forest(inputs[row].astype(np.float64)) for row in held]
    return BoostedQuantiles(ridge, forest, _margin(said, [each[row] for row in held]), seconds)


def _margin(said: Sequence[NDArray[np.float64]], each: Sequence[NDArray[np.float64]]) -> float:
    """How far outside the outermost quantiles, in rank, 90 % of the answers lie at most; negative if inside."""
    outside = np.concatenate(
        [np.maximum(quantiles[0] - ranks, ranks - quantiles[-1]) for quantiles, ranks in zip(said, each, strict=True)]
    )
    return float(np.quantile(outside, LEVELS[-1] - LEVELS[0]))
