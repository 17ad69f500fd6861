"""A request's own stream of numbers, by the place in its answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim import Request


def draws(seed: int, request: Request) -> NDArray[np.float64]:
    """A number from 0 to 1 for each place of the answer of `request`, whenever and by whomever they are asked for."""
    return np.random.default_rng([seed, request.id]).random(request.truth.output_tokens)
