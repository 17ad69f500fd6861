"""A rung of RT-LM's ladder: the output length from the score of a single rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policies.predictor.answers import log_lengths
from policies.predictor.columns import Columns, of_rules
from policies.predictor.regression import LengthRegression, fit_length_regression
from sim.request import Request

NEEDS = of_rules  # what a request must carry


def fit_single_rule(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    rules: Sequence[int],
    seconds: float,
    ridge: float = 1.0,
) -> LengthRegression:
    """A log-linear regression on the one of `rules` whose score goes best with the mean log length in training."""
    scores = Columns(False, tuple(rules)).table(requests)
    target = np.array([logs.mean() for logs in log_lengths(requests, answers)])
    centred = scores - scores.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    strength = np.abs((target - target.mean()) @ centred) / np.where(norms == 0, 1.0, norms)
    best = rules[int(np.argmax(strength))]
    return fit_length_regression(requests, answers, prompt_length=False, rules=(best,), seconds=seconds, ridge=ridge)
