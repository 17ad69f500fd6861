"""The oracle: it alone, beside the engine, reads the truth."""

from __future__ import annotations

from dataclasses import dataclass

from sim.policy import Predictor
from sim.prediction import Distribution, PredictedPause, Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class OraclePredictor(Predictor):
    """Predicts the true output length and calls, free of charge."""

    def predict(self, request: Request) -> Prediction:
        """The truth, in tokens and seconds."""
        truth = request.truth
        length = float(truth.output_tokens)
        pauses = tuple([PredictedPause(*pause) for pause in truth.pauses]) if truth.pauses else ()
        return Prediction(length, length, 0.0, Distribution.certain(length), pauses)
