"""Lengths by their rank among all training answers: what a fit that is to order requests had better aim at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRID = np.linspace(0.0, 1.0, 401)


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """`logs` are the log lengths below which shares `GRID` of the training answers lie."""

    logs: Array

    def log_length(self, rank: Array | float) -> Array:
        """The log length at each rank; outside [0, 1] the curve goes on straight, so that the order is kept."""
        return np.asarray(np.interp(rank, GRID, self.logs) + (np.asarray(rank) - np.clip(rank, 0.0, 1.0)))


def ranked(sampled: Sequence[Array]) -> tuple[Ranks, list[Array]]:
    """The scale, and on it each request's log lengths: the share of all answers that are shorter, half of the equal."""
    ordered = np.sort(np.concatenate(list(sampled)))
    return Ranks(np.quantile(ordered, GRID)), [
        (np.searchsorted(ordered, logs, "left") + np.searchsorted(ordered, logs, "right")) / (2 * len(ordered))
        for logs in sampled
    ]
