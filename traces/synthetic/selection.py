"""Select from a population so that a quantity varies more, or less, about the same mean."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp


def tilted(values: np.ndarray, shares: np.ndarray, variance: float) -> np.ndarray:
    """Shares nearest to `shares` (that sum to 1) under which `values` have the same mean, `variance` times varied.

    They are in proportion to `shares` times exp(a d + b d^2), d a value's distance from the mean. ValueError where no
    such shares exist.
    """
    mean = shares @ values
    distances = (values - mean) / (np.sqrt(shares @ (values - mean) ** 2) or 1.0)
    powers = np.stack([distances, distances**2], axis=1)
    wanted = np.array([0.0, variance * (shares @ powers[:, 1])])

    def under(weights: np.ndarray) -> np.ndarray:
        logs = powers @ weights
        selected: np.ndarray = shares * np.exp(logs - logsumexp(logs, b=shares))
        return selected

    found = under(
        minimize(
            lambda weights: logsumexp(powers @ weights, b=shares) - wanted @ weights,
            np.zeros(2),
            jac=lambda weights: under(weights) @ powers - wanted,
            method="BFGS",
        ).x
    )
    if not np.allclose(found @ powers, wanted, atol=1e-3 * wanted[1]):
        raise ValueError(f"no selection has {variance} times the variance of the uncertainty of all, and its mean")
    return found
