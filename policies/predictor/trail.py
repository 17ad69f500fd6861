"""TRAIL's predictor (ICLR 2025): a first guess from the prompt, refined as tokens come.

The paper's: ten equal bins up to 512 tokens; the expected value over them as the guess; an observation each few tokens
from the model's hidden state, passed through a Bayesian filter that knows that one token less is left after each; one
token less in between; the mean absolute errors of both observations. A simulator has no hidden states, so how they
come about is assumed [A]: the true remaining length plus Gaussian noise whose mean absolute error is the published
one, told to the filter as each bin's share of the Gaussian about what was observed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from policies.predictor.draws import normal
from policies.predictor.oracle import OraclePredictor
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

ORACLE = OraclePredictor()
FLOOR = 1e-9  # [A] no bin is ever quite impossible, as none is after a softmax


@dataclass(frozen=True, slots=True)
class Trail(Predictor):
    """`bins` equal bins on [0, `longest`] tokens, in which longer answers count as the longest.

    `initial_mae` and `initial_bias` (tokens) are the first guess's errors, `refined_mae` that of each observation of
    what is left, made every `every` tokens. `correlation` is that of two observations' errors within a request: with
    0 the filter averages them away, which real ones, all made from one text, allow less. `seconds`: a first guess.
    """

    bins: int
    longest: float
    initial_mae: float
    initial_bias: float
    refined_mae: float
    every: int
    correlation: float
    seed: int
    seconds: float

    def __post_init__(self) -> None:
        for name in ("bins", "longest", "initial_mae", "refined_mae", "every"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.correlation <= 1:
            raise ValueError(f"correlation must be within [0, 1], got {self.correlation}")

    @property
    def edges(self) -> tuple[float, ...]:
        """Where bins begin and end, tokens."""
        return tuple(self.longest * number / self.bins for number in range(self.bins + 1))

    def predict(self, request: Request) -> Prediction:
        """The first guess: the expected value over the bins, from 1 token to the client's cap."""
        noise = self.initial_bias + _sigma(self.initial_mae) * normal(self.seed, request.id)
        masses = _likelihood(ORACLE.predict(request).length + noise, self.initial_mae, self.edges)
        told = Distribution.of_histogram(self.edges, masses)
        length = min(max(told.mean, 1.0), request.max_tokens or math.inf)
        return Prediction(length, length, self.seconds, told)

    def refined_at(self, emitted: int) -> float:
        """At the next observation; the first token replaces the first guess by one."""
        return emitted - emitted % self.every + self.every if emitted else 1

    def refine(self, request: Request, prediction: Prediction, emitted: int) -> float:
        """The filter's expected value at the last observation, less the tokens since, within the client's cap."""
        observation, since = divmod(emitted, self.every)
        left = _filtered(self, request.id, ORACLE.predict(request).length)[observation] - since
        return max(1.0, min(left, (request.max_tokens or math.inf) - emitted))


def transition(bins: int, width: float) -> NDArray[np.float64]:
    """How likely what is left goes from one bin (row) to another (column) with a token: one in `width` moves down."""
    return np.eye(bins) * (1 - 1 / width) + np.eye(bins, k=-1) / width + np.diag([1 / width] + [0.0] * (bins - 1))


def update(prior: NDArray[np.float64], likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bayes' rule over the bins."""
    posterior = prior * likelihood
    return np.asarray(posterior / posterior.sum())


@lru_cache(maxsize=1 << 14)
def _filtered(trail: Trail, request_id: int, length: float) -> tuple[float, ...]:
    """The expected remaining tokens after each observation on the way to an answer of `length`: kept, for it is asked
    again at each of a job's ranks."""
    edges, sigma = trail.edges, _sigma(trail.refined_mae)
    centres = np.array([(low + high) / 2 for low, high in pairwise(edges)])
    between = np.linalg.matrix_power(transition(trail.bins, trail.longest / trail.bins), trail.every)
    shared = math.sqrt(trail.correlation) * normal(trail.seed, request_id, -1)
    belief, expected = None, []
    for observation in range(int(length) // trail.every + 1):
        error = shared + math.sqrt(1 - trail.correlation) * normal(trail.seed, request_id, observation)
        observed = length - observation * trail.every + sigma * error
        likelihood = np.array(_likelihood(observed, trail.refined_mae, edges))
        belief = update(np.ones(trail.bins) if belief is None else belief @ between, likelihood)
        expected.append(float(belief @ centres))
    return tuple(expected)


def _sigma(mae: float) -> float:
    """The standard deviation of Gaussian noise with the mean absolute error `mae`, as in TRAIL's noisy oracle."""
    return mae * math.sqrt(math.pi / 2)


def _likelihood(observed: float, mae: float, edges: tuple[float, ...]) -> list[float]:
    """The share of each bin in a Gaussian about `observed`, tokens, or about the nearest length that has a bin."""
    mean, width = min(max(observed, edges[0]), edges[-1]), _sigma(mae) * math.sqrt(2)
    cumulative = [math.erf((edge - mean) / width) for edge in edges]
    return [max(high - low, FLOOR) for low, high in pairwise(cumulative)]
