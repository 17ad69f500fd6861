"""The exponential predictor: the least that can be known of a size, short of nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.predictor.draws import uniform
from policies.predictor.oracle import OraclePredictor
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

ORACLE = OraclePredictor()


@dataclass(frozen=True, slots=True)
class Guess(Predictor):
    """Predicts a length that is exponential, with the true one as its mean; one seed makes one guess of a request."""

    seed: int

    def predict(self, request: Request) -> Prediction:
        """The guess, tokens, and no whole number of them."""
        length = -math.log(uniform(self.seed, request.id)) * ORACLE.predict(request).length
        return Prediction(length=length, uncertainty=length)
