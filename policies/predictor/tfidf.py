"""TF-IDF ridge: the words and word pairs of a prompt, weighted by how rare they are, and a linear fit to log length."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.predictor.answers import log_lengths
from policies.predictor.residuals import Residuals, Rows, out_of_fold
from policies.predictor.text_statistics import text_of
from sim.policy import Predictor
from sim.prediction import Prediction
from sim.request import Request

NEEDS = ("prompt_text",)  # what a request must carry
TOKEN = r"(?u)\w+|[^\w\s]"
_TOKENS = re.compile(TOKEN)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A linear function of a text's TF-IDF vector: with log(1 + count) for counts, of length 1, as scikit-learn does.

    `columns` numbers the words and pairs of words that count; `rarity` (idf) and `weights` stand at their numbers.
    """

    columns: Mapping[str, int]
    rarity: NDArray[np.float32]
    weights: NDArray[np.float32]

    def of(self, text: str) -> float:
        """The function's value for `text`; 0 for a text without a known term."""
        at, values, norm = self.entries(text)
        return float(values @ self.weights[at] / norm)

    def entries(self, text: str) -> tuple[NDArray[np.intp], NDArray[np.float64], float]:
        """The columns in which the text's vector is not 0, what it has there, and by what to divide that."""
        words = _TOKENS.findall(text.lower())
        counts = Counter(words + [f"{one} {other}" for one, other in pairwise(words)])
        known = [(at, count) for term, count in counts.items() if (at := self.columns.get(term)) is not None]
        if not known:
            return np.empty(0, dtype=np.intp), np.empty(0), 1.0
        at, count = np.array(known).T
        values = (1.0 + np.log(count)) * self.rarity[at]
        return at, values, math.sqrt(values @ values)


@dataclass(frozen=True, slots=True, eq=False)
class TfidfRidge(Predictor):
    """Mean log length = intercept + terms(text); `residuals` make a length and a distribution of it."""

    terms: Terms
    intercept: float
    residuals: Residuals
    seconds: float

    def predict(self, request: Request) -> Prediction:
        """The expected output length, tokens."""
        return self.residuals.prediction(self.intercept + self.terms.of(text_of(request)), self.seconds)


def vectorizer(max_terms: int) -> Any:
    """scikit-learn's vectorizer of what `Terms` reads: the `max_terms` most frequent that two texts have."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, max_features=max_terms, sublinear_tf=True, token_pattern=TOKEN, dtype=np.float32
    )


def fit_tfidf(
    requests: Sequence[Request],
    answers: Sequence[Sequence[int]],
    *,
    seconds: float,
    ridge: float = 1.0,
    max_terms: int = 20_000,
) -> TfidfRidge:
    """Fit to the mean log length of each request's `answers` (tokens, one or more each)."""
    from sklearn.linear_model import Ridge

    sampled = log_lengths(requests, answers)
    target = np.array([logs.mean() for logs in sampled])
    words = vectorizer(max_terms)
    inputs = words.fit_transform([text_of(request) for request in requests])

    def fit(rows: Rows) -> Any:
        return Ridge(ridge, solver="sparse_cg").fit(inputs[rows], target[rows])

    def foretell(training: Rows, held: Rows) -> NDArray[np.float64]:
        return np.asarray(fit(training).predict(inputs[held]))

    fitted = fit(np.arange(len(target)))
    columns = {term: int(column) for term, column in words.vocabulary_.items()}
    terms = Terms(columns, words.idf_.astype(np.float32), fitted.coef_.astype(np.float32))
    return TfidfRidge(terms, float(fitted.intercept_), out_of_fold(sampled, foretell), seconds)
