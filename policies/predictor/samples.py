"""The law of a prompt's answer, and not the answer: other answers that were sampled to the same prompt."""

from __future__ import annotations

from dataclasses import dataclass

from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

NEEDS = ("samples",)  # what a request must carry


@dataclass(frozen=True, slots=True)
class SamplesPredictor(Predictor):
    """Each of the other answers to the prompt is as likely as any other; free of charge."""

    def predict(self, request: Request) -> Prediction:
        """Their mean, tokens; ValueError where the trace knows one answer only."""
        if not request.truth.samples:
            raise ValueError(
                f"request {request.id} carries no samples, other answers to its prompt, which predictor=samples tells; "
                "trace=castillo has them, of one model"
            )
        told = Distribution.of_atoms(request.truth.samples)
        return Prediction(told.mean, told.mean, distribution=told)
