"""What earlier answers to the same client, or to the same task, say of the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.residuals import LEVELS
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

KEYS = ("client", "task", "session")


def of_keys(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """What a request must carry: one of the keys."""
    return (tuple(map(str, settings.get("keys") or ())),)


NEEDS = of_keys


@dataclass(frozen=True, slots=True)
class History(Predictor):
    """The prediction of the first of `keys` that a request carries and that was seen in training, else `everyone`.

    `known[key]` holds a prediction for each value of that key.
    """

    keys: tuple[str, ...]
    known: Mapping[str, Mapping[str, Prediction]]
    everyone: Prediction

    def predict(self, request: Request) -> Prediction:
        """What the past says, tokens."""
        for key in self.keys:
            if (found := self.known[key].get(getattr(request, key))) is not None:
                return found
        return self.everyone


def fit_history(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    keys: Sequence[str],
    shrinkage: float,
    seconds: float,
) -> History:
    """The means and quantiles of the training answers by the values of `keys` (client, task or session).

    A value seen in n answers weighs n / (n + shrinkage), all answers together the rest: in the mean, and in each
    quantile, so that the distribution's mean goes with the length.
    """
    if not keys or not set(keys) <= set(KEYS):
        raise ValueError(f"keys must be some of {', '.join(KEYS)}, got {list(keys)}")
    if not shrinkage >= 0:
        raise ValueError(f"shrinkage must not be negative, got {shrinkage} answers")
    lengths = [np.exp(logs) for logs in log_lengths(requests, answers)]
    overall = np.concatenate(lengths)

    def shrunk(part: NDArray[np.float64]) -> Prediction:
        own = len(part) / (len(part) + shrinkage)
        mean = float(own * part.mean() + (1 - own) * overall.mean())
        quantiles = own * _quantiles(part) + (1 - own) * _quantiles(overall)
        return Prediction(mean, mean, seconds, Distribution(LEVELS, tuple(quantiles.tolist())))

    def by(key: str) -> dict[str, Prediction]:
        groups: dict[str, list[NDArray[np.float64]]] = {}
        for request, own in zip(requests, lengths, strict=True):
            if (value := getattr(request, key)) is not None:
                groups.setdefault(value, []).append(own)
        return {value: shrunk(np.concatenate(parts)) for value, parts in groups.items()}

    return History(tuple(keys), {key: by(key) for key in keys}, shrunk(overall))


def _quantiles(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """At LEVELS, so that the next of few answers is below as often as that says (the i-th of n: i / (n + 1))."""
    return np.quantile(lengths, LEVELS, method="weibull")
