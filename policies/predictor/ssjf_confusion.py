"""SSJF's measured predictor as an error model: what its 5-class BERT classifier took answers of each class for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from policies.predictor.draws import uniform
from policies.predictor.oracle import OraclePredictor
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

ORACLE = OraclePredictor()


@dataclass(frozen=True, slots=True)
class Confusion(Predictor):
    """A class of lengths drawn from the classifier's mistakes with the true one.

    `edges` bound the classes: one more than there are, tokens; class i has the lengths above `edges[i]`, up to and with
    `edges[i + 1]`, and the first and last what lies outside. `rows[i]` counts, class after class added up, what answers
    of class i were taken for. `predictions[i]` is what is said when class i is predicted.
    """

    edges: tuple[float, ...]
    rows: tuple[tuple[int, ...], ...]
    predictions: tuple[Prediction, ...]
    seed: int

    def predict(self, request: Request) -> Prediction:
        """The prediction for a class drawn from the row of the true one."""
        true_class = bisect_left(self.edges[1:-1], ORACLE.predict(request).length)
        row = self.rows[true_class]
        return self.predictions[bisect_left(row, uniform(self.seed, request.id) * row[-1])]


def confusion(
    edges: Sequence[float], means: Sequence[float], counts: Sequence[Sequence[int]], seconds: float, seed: int
) -> Confusion:
    """From `counts[true][predicted]` of a classifier's test; answers of class i have `means[i]` tokens on average.

    Bayes' rule on the counts: of the answers predicted to be of a class so many were of each, and from that come the
    expected length, and the distribution, evenly spread within each class. ValueError unless all sizes agree, and each
    class was met and predicted.
    """
    classes = len(means)
    if len(edges) != classes + 1 or [len(row) for row in counts] != [classes] * classes:
        raise ValueError(
            f"{classes} means need {classes + 1} edges and {classes} x {classes} counts, got {len(edges)} edges and "
            f"rows of {[len(row) for row in counts]}"
        )
    if min(map(min, counts)) < 0 or not all(map(sum, (*counts, *zip(*counts, strict=True)))):
        raise ValueError(f"each class needs positive counts, as the true one and as the predicted, got {counts}")

    def said(column: Sequence[int]) -> Prediction:
        length = sum(count * mean for count, mean in zip(column, means, strict=True)) / sum(column)
        return Prediction(length, length, seconds, Distribution.of_histogram(edges, column))

    return Confusion(
        tuple(edges),
        tuple(tuple(accumulate(row)) for row in counts),
        tuple(said(column) for column in zip(*counts, strict=True)),
        seed,
    )
