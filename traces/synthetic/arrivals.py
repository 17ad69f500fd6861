"""When requests arrive: seeded point processes, in seconds from the trace's start."""

from __future__ import annotations

import math

import numpy as np


def poisson(rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
    """`requests` instants of a Poisson process of `rate` requests/s; the first comes after a whole gap."""
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"rate must be a positive number of requests/s, got {rate}")
    if requests < 1:
        raise ValueError(f"requests must be at least 1, got {requests}")
    return np.cumsum(arrivals.exponential(1.0 / rate, requests))
