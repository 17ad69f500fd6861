"""Kernel ridge: the order that it learned is kept, equal training gives equal predictions, likeness is to one's own."""

from __future__ import annotations

import numpy as np
import pytest

from policies.predictors.kernel_ridge import Radial, at_rank, fit_kernel_ridge
from sim import Request, Truth

SHORT = ["What is {}?", "Name the capital of {}.", "Is {} a country?", "Give one word for {}."]
LONG = ["Write a long essay about the history of {}.", "Explain in detail how {} came to be, step by step."]
PLACES = ("France", "Peru", "Japan", "Kenya", "Norway", "Chile", "India", "Canada", "Egypt", "Greece", "Cuba", "Nepal")


def made(templates: list[str], tokens: int, first: int) -> tuple[list[Request], list[list[int]]]:
    texts = [template.format(place) for template in templates for place in PLACES]
    requests = [
        Request(first + number, 0.0, len(text.split()) + 5, Truth(1), prompt_text=text)
        for number, text in enumerate(texts)
    ]
    return requests, [[tokens + number % 5, tokens + 3 + number % 7] for number in range(len(texts))]


@pytest.fixture(scope="module")
def training() -> tuple[list[Request], list[list[int]]]:
    short, long = made(SHORT, 10, 0), made(LONG, 400, 1000)
    return short[0] + long[0], short[1] + long[1]


def test_what_asks_for_much_is_foretold_longer_on_prompts_never_seen(training) -> None:
    predictor = fit_kernel_ridge(*training, seconds=0.02)
    asked = [Request(0, 0.0, 9, Truth(1), prompt_text=text.format("Bolivia")) for text in (SHORT[0], LONG[0])]
    short, long = (predictor.predict(request) for request in asked)
    assert short.length < 30 < 200 < long.length
    assert (short.seconds, short.uncertainty) == (0.02, short.length)
    assert short.distribution is not None
    assert short.distribution.quantile(0.05) < short.distribution.quantile(0.95)


def test_equal_training_rows_give_equal_predictions(training) -> None:
    one, other = (fit_kernel_ridge(*training, seconds=0.0) for _ in range(2))
    assert [one.predict(request).length for request in training[0][:5]] == [
        other.predict(request).length for request in training[0][:5]
    ]


def test_a_row_is_most_like_itself_and_no_likeness_is_above_one() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    kernel = Radial.of(rows, 0.6)
    likeness = kernel.to(kernel.rows)
    assert np.diag(likeness) == pytest.approx(1.0, abs=1e-5)
    assert likeness.max() <= 1.0 + 1e-5
    assert likeness.min() > 0
    by_hand = np.exp(-0.6 * ((kernel.rows[3] - kernel.rows[7]) ** 2).mean())
    assert likeness[3, 7] == pytest.approx(by_hand, rel=1e-4)


def test_ranks_beyond_the_ends_keep_their_order() -> None:
    quantiles = np.log([2.0, 5.0, 50.0])
    lengths = at_rank(quantiles, np.array([-0.2, 0.0, 0.5, 1.0, 1.1]))
    assert (np.diff(lengths) > 0).all()
    assert lengths[1:4] == pytest.approx(quantiles)
