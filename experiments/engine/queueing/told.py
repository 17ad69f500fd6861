"""A predictor that knows the law of the sizes, or some of them, and no size."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from experiments.engine.queueing.laws import Law
from policies.predictor.oracle import OraclePredictor
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

ORACLE = OraclePredictor()
RAREST = 1e-9  # the chance of a size beyond the last point


@dataclass(frozen=True, slots=True)
class Told(Predictor):
    """Says the same `distribution` of every request."""

    distribution: Distribution

    def predict(self, request: Request) -> Prediction:
        """What is known of all."""
        return Prediction(self.distribution.mean, self.distribution.mean, distribution=self.distribution)


@dataclass(frozen=True, slots=True)
class Classed(Predictor):
    """Says between which two of these `bounds` (tokens) a size lies, and the law of those that lie there."""

    bounds: tuple[float, ...]
    laws: tuple[Distribution, ...]

    @classmethod
    def of(cls, law: Distribution, bounds: tuple[float, ...]) -> Classed:
        """Where all sizes are of this `law`."""
        return cls(bounds, tuple(law_between(law, *ends) for ends in pairwise((0.0, *bounds, law.lengths[-1]))))

    def predict(self, request: Request) -> Prediction:
        """The mean of its class, and the law."""
        law = self.laws[bisect_left(self.bounds, ORACLE.predict(request).length)]
        return Prediction(law.mean, law.mean, distribution=law)


def law_between(law: Distribution, above: float, most: float) -> Distribution:
    """That of the lengths that are longer than `above` and at most `most`; ValueError if there are none."""
    low, high = 1 - law.survival(above), 1 - law.survival(most)
    if not low < high:
        raise ValueError(f"no length is between {above} and {most}")
    inner = [at for at, length in enumerate(law.lengths) if above < length < most]
    levels = [low, *[law.levels[at] for at in inner], high]
    lengths = (max(above, law.lengths[0]), *[law.lengths[at] for at in inner], most)
    return Distribution(tuple((level - low) / (high - low) for level in levels), lengths)


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
