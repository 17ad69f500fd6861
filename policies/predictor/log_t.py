"""A log-t law for each prompt (TIE, ICML 2026, arXiv 2604.00499): the log of an answer's length is Student's t.

The paper's network tells from the prompt where the law is and how wide; here two ridges on TF-IDF do [A].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, stdtr, stdtrit

from policies.predictor.answers import log_lengths
from policies.predictor.residuals import Rows, parts
from policies.predictor.text_statistics import text_of
from policies.predictor.tfidf import Terms, vectorizer
from sim.policy import Predictor
from sim.prediction import Distribution, Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry
LEVELS = (0.001, 0.01, *(level / 20 for level in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
LEAST = 0.01  # of the log: an answer nearer than that to what was foretold is taken to be that far from it
ROUNDS = 50  # of a fit by which it moves no longer


@dataclass(frozen=True, slots=True, eq=False)
class LogT(Predictor):
    """log X = mu + sigma * T, with T of Student's t law of `nu` degrees of freedom; an answer ends at the client's cap.

    mu = `mu_at` + `mu`(text), log sigma = `spread_at` + `spread` . the text's TF-IDF vector. Where a request has no cap
    it is `longest`, the longest training answer (tokens): the law's mean is without bound.
    """

    mu: Terms
    spread: NDArray[np.float32]
    mu_at: float
    spread_at: float
    nu: float
    longest: float
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        told = cut_log_t(*self.law(text_of(request)), self.nu, request.max_tokens or self.longest)
        return Prediction(told.mean, told.mean, self.seconds, told)

    def law(self, text: str) -> tuple[float, float]:
        """Its mu and sigma, of the log of tokens."""
        at, values, norm = self.mu.entries(text)
        mu = self.mu_at + float(values @ self.mu.weights[at] / norm)
        return mu, math.exp(self.spread_at + float(values @ self.spread[at] / norm))


def cut_log_t(mu: float, sigma: float, nu: float, longest: float) -> Distribution:
    """The law of what is at least 1 token and is cut at `longest` ones: there lies all that would be longer."""
    lengths = np.maximum(np.exp(mu + sigma * _scores(nu)), 1.0)
    inside = int(np.searchsorted(lengths, longest))
    levels = LEVELS[:inside]
    last = 1.0
    if inside < len(LEVELS):
        last = max(float(stdtr(nu, (math.log(longest) - mu) / sigma)), *LEVELS[:inside], 0.0)
    return Distribution((*levels, last), (*lengths[:inside].tolist(), longest))


@lru_cache
def _scores(nu: float) -> NDArray[np.float64]:
    return np.asarray(stdtrit(nu, LEVELS))


def fit_log_t(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    nu: float,
    seconds: float,
    ridge: float = 1.0,
    max_terms: int = 20_000,
) -> LogT:
    """mu is fitted to the median log length of each request's `answers` (tokens, one or more each), log sigma to how
    far these are from the mu that a fit to other requests foretold.

    On average log |T| is (log nu + digamma(1/2) - digamma(nu/2)) / 2, so that of any number of answers the mean
    log |log X - mu|, less that, is log sigma. A factor of all sigma makes answers likeliest that no fit had seen.
    """
    from sklearn.linear_model import Ridge

    if not 0.1 <= nu < math.inf:
        raise ValueError(f"nu must be finite and at least 0.1 degrees of freedom, got {nu}")
    sampled = log_lengths(requests, answers)
    words = vectorizer(max_terms)
    inputs = words.fit_transform([text_of(request) for request in requests])

    def fit(rows: Rows, target: NDArray[np.float64]) -> Any:
        return Ridge(ridge, solver="sparse_cg").fit(inputs[rows], target[rows])

    def by_others(target: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.empty(len(target))
        for others, held in parts(len(target)):
            found[held] = fit(others, target).predict(inputs[held])
        return found

    middle = np.array([np.median(logs) for logs in sampled])
    off = [np.maximum(np.abs(logs - mu), LEAST) for logs, mu in zip(sampled, by_others(middle), strict=True)]
    usual = (math.log(nu) + digamma(0.5) - digamma(nu / 2)) / 2
    spread = np.array([np.log(one).mean() for one in off]) - usual
    told = np.exp(by_others(spread))
    factor = _scale(np.concatenate([one / sigma for one, sigma in zip(off, told, strict=True)]), nu)
    everything = np.arange(len(middle))
    mu, width = fit(everything, middle), fit(everything, spread)
    columns = {term: int(column) for term, column in words.vocabulary_.items()}
    return LogT(
        Terms(columns, words.idf_.astype(np.float32), mu.coef_.astype(np.float32)),
        width.coef_.astype(np.float32),
        float(mu.intercept_),
        float(width.intercept_) + math.log(factor),
        nu,
        float(max(map(max, answers))),
        seconds,
    )


def _scale(off: NDArray[np.float64], nu: float) -> float:
    """The likeliest scale of a t law about 0, by expectation and maximisation."""
    square = float(np.mean(off**2))
    for _ in range(ROUNDS):
        square = float(np.mean(off**2 * (nu + 1) / (nu + off**2 / square)))
    return math.sqrt(square)
