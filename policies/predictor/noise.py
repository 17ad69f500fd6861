"""The oracle with errors of a stated size, to ask how good a prediction must be.

Equal seeds give equal predictions, whatever the order of the calls. A distribution is what somebody would say who knows
the errors' law and hears the prediction, but nothing of the workload.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.predictor.draws import STANDARD_NORMAL, normal, uniform
from policies.predictor.oracle import OraclePredictor
from policies.predictor.residuals import LEVELS
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

ORACLE = OraclePredictor()
SCORES = tuple(STANDARD_NORMAL.inv_cdf(level) for level in LEVELS)


@dataclass(frozen=True, slots=True)
class AdditiveNoise(Predictor):
    """The true length plus Gaussian noise of `sigma` tokens, at least one token.

    The mean absolute error is sigma * sqrt(2 / pi), but for the clipping. TRAIL's noisy oracle is this one with
    sigma = MAE * sqrt(pi / 2), clipped from above at the truth as well.
    """

    sigma: float
    seed: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def predict(self, request: Request) -> Prediction:
        """The noisy length, tokens."""
        length = max(1.0, ORACLE.predict(request).length + self.sigma * normal(self.seed, request.id))
        around = tuple([max(1.0, length + self.sigma * score) for score in SCORES])
        return Prediction(length, length, self.seconds, Distribution(LEVELS, around))


@dataclass(frozen=True, slots=True)
class MultiplicativeNoise(Predictor):
    """The true length times exp(sigma * z + shift), z standard normal, at least one token.

    `shift` is 0 for noise that keeps the median, -sigma ** 2 / 2 for noise that keeps the mean.
    """

    sigma: float
    seed: int
    shift: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def predict(self, request: Request) -> Prediction:
        """The noisy length, tokens."""
        factor = math.exp(self.sigma * normal(self.seed, request.id) + self.shift)
        length = max(1.0, ORACLE.predict(request).length * factor)
        median = length * math.exp(-self.shift)
        around = tuple([max(1.0, median * math.exp(self.sigma * score)) for score in SCORES])
        return Prediction(length, length, self.seconds, Distribution(LEVELS, around))


@dataclass(frozen=True, slots=True)
class AdversarialNoise(Predictor):
    """The truth, but with `probability` its reflection: the shortest is said to be the longest and the other way round.

    A length x between `shortest` and `longest` (outside, the nearer of them) becomes shortest * longest / x, which is
    as far from the one end of the range, in log, as x is from the other. So `probability` 1 turns every rank round.
    """

    probability: float
    shortest: float
    longest: float
    seed: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be within [0, 1], got {self.probability}")
        if not 1 <= self.shortest < self.longest < math.inf:
            raise ValueError(f"lengths must be finite and 1 <= shortest < longest, got {self.shortest}, {self.longest}")

    def predict(self, request: Request) -> Prediction:
        """The length or its reflection, tokens."""
        length = ORACLE.predict(request).length
        if uniform(self.seed, request.id) < self.probability:
            length = self._reflect(length)
        said = [(length, 1 - self.probability), (self._reflect(length), self.probability)]
        (short, share), (long, _) = sorted(said)
        return Prediction(
            length, length, self.seconds, Distribution((0.0, share, share, 1.0), (short, short, long, long))
        )

    def _reflect(self, length: float) -> float:
        return self.shortest * self.longest / min(max(length, self.shortest), self.longest)


def _check_sigma(sigma: float) -> None:
    if not 0 <= sigma < math.inf:
        raise ValueError(f"sigma must be finite and not negative, got {sigma}")
