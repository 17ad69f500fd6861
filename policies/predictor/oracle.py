"""The oracle: it alone, beside the engine, reads the truth."""

from __future__ import annotations

from dataclasses import dataclass

from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class OraclePredictor(Predictor):
    """Predicts the true output length, free of charge."""

    def predict(self, request: Request) -> Prediction:
        """The truth, in tokens."""
        length = float(request.truth.output_tokens)
        return Prediction(length=length, uncertainty=length)
