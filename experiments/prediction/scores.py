"""How good predictions are against sampled answers, in each of many resamples of the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.prediction import calibration
from experiments.prediction.concordance import Floats, taus, taus_within
from experiments.prediction.samples import Sampled
from sim import Prediction
from sim.prediction import Distribution

LEVELS = np.arange(1, 20) / 20  # of the pinball loss
CEILING = "ceiling"


@dataclass(frozen=True, slots=True)
class Foretold:
    """What was predicted of each prompt, tokens: the mean, quantiles at `LEVELS` (prompts, levels), and the laws."""

    mean: Floats
    quantiles: Floats
    laws: tuple[Distribution, ...]

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> Foretold:
        """A prediction without a distribution is taken to be certain."""
        laws = tuple([one.distribution or Distribution.certain(one.length) for one in predictions])
        rows = [[law.quantile(level) for level in LEVELS] for law in laws]
        return cls(np.array([one.length for one in predictions]), np.array(rows), laws)


@dataclass(frozen=True, slots=True)
class Scores:
    """Each score's value on the data, first, and then on each resample."""

    tau: Floats
    tau_within: Floats
    datasets: Mapping[str, Floats]  # tau within each
    more: Mapping[str, Floats]


def ceiling(answers: NDArray[np.int64]) -> Floats:
    """For each sample the mean of the others of its prompt, (prompts, samples)."""
    total = answers.sum(axis=1, keepdims=True)
    return np.asarray((total - answers) / (answers.shape[1] - 1))


def score(data: Sampled, foretold: Mapping[str, Foretold], weights: Floats) -> dict[str, Scores]:
    """The scores of each predictor, and those of the ceiling where there is more than one sample.

    tau within data sets is their mean, weighted by their prompts.
    """
    ranked: dict[str, Floats] = {name: found.mean for name, found in foretold.items()}
    if data.answers.shape[1] > 1:
        ranked[CEILING] = ceiling(data.answers)
    overall = taus(ranked, data.answers, weights)
    within = taus_within(ranked, data.answers, weights, data.datasets)
    shares = {dataset: weights[data.datasets == dataset].sum(axis=0) / len(weights) for dataset in within}
    return {
        name: Scores(
            overall[name],
            sum((shares[dataset] * found[name] for dataset, found in within.items()), np.zeros(weights.shape[1])),
            {dataset: found[name] for dataset, found in within.items()},
            errors(data.answers, foretold[name], weights) if name in foretold else of_others(data.answers, weights),
        )
        for name in ranked
    }


def errors(answers: NDArray[np.int64], foretold: Foretold, weights: Floats) -> dict[str, Floats]:
    """R2 of log length (of the predicted median), MAE (of the mean), pinball loss and what `calibration.fits` says,
    each against every single sample and averaged over samples."""
    quantiles = foretold.quantiles[:, None, :]
    off = answers[:, :, None] - quantiles
    pinball = np.maximum(LEVELS * off, (LEVELS - 1) * off).mean(axis=(1, 2))
    absolute = np.abs(answers - foretold.mean[:, None]).mean(axis=1)
    fits = [calibration.fits(law, row) for law, row in zip(foretold.laws, answers.tolist(), strict=True)]
    return {"r2_log": _r2(answers, foretold, weights)} | _means(
        {"mae": absolute, "pinball": pinball, **_columns(fits)}, weights
    )


def of_others(answers: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
    """What `calibration.others` says of each prompt's samples, and the MAE of the mean of the others."""
    absolute = np.abs(answers - ceiling(answers)).mean(axis=1)
    return _means({"mae": absolute, **_columns([calibration.others(row) for row in answers.tolist()])}, weights)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _means(each: Mapping[str, Floats], weights: Floats) -> dict[str, Floats]:
    """The mean over prompts, in each resample."""
    return {name: values @ weights / weights.sum(axis=0) for name, values in each.items()}


def _r2(answers: NDArray[np.int64], foretold: Foretold, weights: Floats) -> Floats:
    logs = np.log(answers)
    median = np.log(np.maximum(foretold.quantiles[:, len(LEVELS) // 2], 1.0))
    count = weights.sum(axis=0)
    wrong = ((logs - median[:, None]) ** 2).T @ weights
    spread = (logs**2).T @ weights - (logs.T @ weights) ** 2 / count
    return np.asarray(np.mean(1 - wrong / np.where(spread > 0, spread, np.nan), axis=0))


def interval(values: Floats) -> dict[str, float | None]:
    """A score's value and the ends of its 95 % percentile interval, None where it is not a number."""
    ends = np.percentile(values[1:], [2.5, 97.5]) if len(values) > 1 else (np.nan, np.nan)
    numbers = {"value": float(values[0]), "low": float(ends[0]), "high": float(ends[1])}
    return {name: number if np.isfinite(number) else None for name, number in numbers.items()}
