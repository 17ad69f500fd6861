"""A predictor that knows the law of the sizes, or some of them, and no size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.engine.queueing.laws import Law
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

RAREST = 1e-9  # the chance of a size beyond the last point


@dataclass(frozen=True, slots=True)
class Told(Predictor):
    """Says the same `distribution` of every request."""

    distribution: Distribution

    def predict(self, request: Request) -> Prediction:
        """What is known of all."""
        return Prediction(self.distribution.mean, self.distribution.mean, distribution=self.distribution)


def discretized(law: Law, tokens: int, apart: int) -> Distribution:
    """The law, where its mean has so many `tokens`: straight between points so many tokens `apart`, and its bends."""
    unit = law.mean / tokens
    top = max(law.bends, default=law.mean)
    while law.survival(top) > RAREST:
        top *= 1.25
    lowest = law.bends[0] if len(law.bends) > 1 else 0.0
    points = np.unique([lowest, *np.arange(0.0, top + apart * unit, apart * unit).clip(lowest, top), top])
    done = np.maximum.accumulate(1 - law.survival(points)).clip(0.0, 1.0)
    return Distribution(tuple(done.tolist()), tuple((points / unit).tolist()))
