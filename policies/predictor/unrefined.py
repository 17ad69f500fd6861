"""A predictor that learns nothing from an answer under way."""

from __future__ import annotations

from dataclasses import dataclass

from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class Unrefined(Predictor):
    """The first word of the predictor `of`, from which tokens are only counted down."""

    of: Predictor

    def predict(self, request: Request) -> Prediction:
        """What `of` predicts."""
        return self.of.predict(request)
