"""Predictions in classes of equal width: LTR's classifier (arXiv 2408.15792) as an error model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.predictor.concordant import fit_concordant
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request


@dataclass(frozen=True, slots=True)
class Buckets(Predictor):
    """The middle of the class, `bucket` tokens wide, in which the prediction of `of` is."""

    of: Predictor
    bucket: int

    def __post_init__(self) -> None:
        if not self.bucket >= 1:
            raise ValueError(f"bucket must be at least 1 token, got {self.bucket}")

    def predict(self, request: Request) -> Prediction:
        """The middle of the class, tokens."""
        said = self.of.predict(request)
        middle = (said.length // self.bucket + 0.5) * self.bucket
        return Prediction(middle, middle, said.seconds)


def fit_buckets(
    requests: Sequence[Request], answers: Sequence[Sequence[int]], *, tau: float, bucket: int, seed: int, seconds: float
) -> Buckets:
    """Classes of lengths whose ranks have the concordance `tau` with the training answers before they are put in."""
    return Buckets(fit_concordant(requests, answers, tau=tau, seed=seed, seconds=seconds), bucket)
