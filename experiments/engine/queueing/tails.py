"""The tail of the response time in an M/G/1 with light tails, about C exp(-gamma t), and what orders do to C.

Under an order by arrival less a boost b, of the size or of what is known of it (0: first come, first served)

    C = (1 - load) / (r E[S exp(gamma S)] - 1) * E[exp(gamma (S - b))] * exp(r E[b (exp(gamma S) - 1)])

with r arrivals per second [D]: a job waits for the work that was there b before it came, and for that of the jobs that
have come since with a boost that is larger by more, and those are Poisson. The b of gamma-Boost (Yu and Scully, arXiv
2404.08826) makes it least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from experiments.engine.queueing.laws import Floats, Law
from experiments.engine.queueing.means import quadrature, rate

FEWER = math.log(5)  # of the decay between P95 and P99


def decay(law: Law, load: float) -> float:
    """gamma, 1/s: the positive solution of gamma = r (E[exp(gamma S)] - 1)."""
    arrivals = rate(law, load)
    most = 2 * (1 - load) / (arrivals * law.moment(2))  # the solution, if sizes hardly varied against 1 / gamma
    return float(brentq(lambda gamma: arrivals * _growth(law, gamma).sum() - gamma, 1e-6 * most, most, xtol=1e-15))


def observed_decay(responses: Floats) -> float:
    """gamma, 1/s, of response times (s) under first come, first served: from P95 to P99 (UniBoost, [S])."""
    shorter, longer = np.percentile(responses, [95, 99])
    if not longer > shorter:
        raise ValueError(f"P99 of the response times must be above P95, got {longer} s and {shorter} s")
    return float(FEWER / (longer - shorter))


def fcfs_constant(law: Law, load: float) -> float:
    """C under first come, first served."""
    arrivals, gamma = rate(law, load), decay(law, load)
    sizes, weights = quadrature(law, widened=2.0)
    tilted = float(weights @ (law.density(sizes) * sizes * np.exp(gamma * sizes)))
    return (1 - load) / (arrivals * tilted - 1) * (1 + gamma / arrivals)


def boosted(law: Law, load: float, bounds: Sequence[float] | None) -> float:
    """C under gamma-Boost as a share of that under first come, first served.

    None: sizes are known; else what is known is between which two of these `bounds` (s) a size lies.
    """
    arrivals, gamma = rate(law, load), decay(law, load)
    sizes, _ = quadrature(law, widened=2.0)
    growth = _growth(law, gamma)  # E[exp(gamma S) - 1], by sizes
    if bounds is None:
        boosts = -np.log(-np.expm1(-gamma * sizes)) / gamma
    else:
        chance = np.diff(1 - law.survival(np.array([0.0, *bounds, math.inf])))
        kind = np.digitize(sizes, bounds)
        mean = np.bincount(kind, growth, len(chance)) / np.where(chance > 0, chance, 1.0)
        boosts = np.log1p(1 / mean[kind]) / gamma
    return gamma / arrivals / (1 + gamma / arrivals) * math.exp(arrivals * float(growth @ boosts))


def _growth(law: Law, gamma: float) -> Floats:
    """What each size of the quadrature adds to E[exp(gamma S)] - 1."""
    sizes, weights = quadrature(law, widened=2.0)
    return np.asarray(weights * law.density(sizes) * np.expm1(gamma * sizes))
