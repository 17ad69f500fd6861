"""The oracle with as much noise as gives its ranks a stated concordance with the true lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.noise import MultiplicativeNoise
from sim.request import Request

MOST = 16.0  # sigma: of the log of lengths, more than any mix has
ACCURACY = 1e-4  # of sigma


def fit_concordant(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, tau: float, seed: int, seconds: float
) -> MultiplicativeNoise:
    """Lognormal noise of such a size that Kendall's tau-b of predictions and training answers is `tau`."""
    if not 0 < tau <= 1:
        raise ValueError(f"tau must be above 0 and at most 1, got {tau}")
    truth = np.concatenate(log_lengths(requests, answers))
    return MultiplicativeNoise(_sigma(truth, tau), seed, seconds=seconds)


def _sigma(truth: NDArray[np.float64], tau: float) -> float:
    """The noise of the log lengths `truth` at which they are so concordant, by bisection with one draw."""
    from scipy.stats import kendalltau

    noise = np.random.default_rng(0).standard_normal(len(truth))
    low, high = 0.0, MOST
    while high - low > ACCURACY:
        sigma = (low + high) / 2
        if kendalltau(truth, np.maximum(truth + sigma * noise, 0.0)).statistic > tau:
            low = sigma
        else:
            high = sigma
    return low if tau == 1 else high
