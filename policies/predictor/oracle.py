"""The oracle: it alone, beside the engine, reads the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sim.policy import Predictor
from sim.prediction import Distribution, PredictedPause, Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class OraclePredictor(Predictor):
    """Predicts the true output length and calls, free of charge."""

    def predict(self, request: Request) -> Prediction:
        """The truth, in tokens and seconds."""
        truth = request.truth
        said = _certainly(truth.output_tokens)
        return said._replace(pauses=tuple([PredictedPause(*it) for it in truth.pauses])) if truth.pauses else said


@lru_cache(maxsize=4096)
def _certainly(tokens: int) -> Prediction:
    """Of an answer of so many `tokens`, and no calls."""
    length = float(tokens)
    return Prediction(length, length, 0.0, Distribution.certain(length))
