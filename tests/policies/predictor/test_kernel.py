"""Kernel ridge: the order that it learned is kept, equal training gives equal predictions, likeness is to one's own."""

from __future__ import annotations

import numpy as np
import pytest

from policies.predictor.kernel_ridge import GRAIN, Landmarks, fit_kernel_ridge
from policies.predictor.ranks import Ranks, ranked
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


def fit(training, **settings):
    usual = {"layers": [3], "landmarks": 40, "width": 0.6, "states": 2.0, "ridge": 0.25, "max_terms": 500, "seed": 0}
    return fit_kernel_ridge(*training, **{**usual, "seconds": 0.0, **settings})


@pytest.fixture(scope="module")
def training() -> tuple[list[Request], list[list[int]]]:
    short, long = made(SHORT, 10, 0), made(LONG, 400, 1000)
    return short[0] + long[0], short[1] + long[1]


def test_what_asks_for_much_is_foretold_longer_on_prompts_never_seen(training) -> None:
    predictor = fit(training, seconds=0.02)
    asked = [Request(0, 0.0, 9, Truth(1), prompt_text=text.format("Bolivia")) for text in (SHORT[0], LONG[0])]
    short, long = (predictor.predict(request) for request in asked)
    assert short.length < 30 < 200 < long.length
    assert (short.seconds, short.uncertainty) == (0.02, short.length)
    assert short.distribution is not None
    assert short.distribution.quantile(0.05) < short.distribution.quantile(0.95)


def test_each_kind_of_prompt_is_foretold_at_its_own_length() -> None:
    levels = {SHORT[0]: 10, SHORT[1]: 40, LONG[0]: 120, LONG[1]: 400}
    parts = [made([text], tokens, 100 * number) for number, (text, tokens) in enumerate(levels.items())]
    predictor = fit(([one for part in parts for one in part[0]], [one for part in parts for one in part[1]]))
    for text, tokens in levels.items():
        asked = Request(0, 0.0, len(text.split()) + 5, Truth(1), prompt_text=text.format("Bolivia"))
        assert 0.5 < predictor.predict(asked).length / tokens < 2


def test_equal_training_rows_give_equal_predictions(training) -> None:
    one, other = (fit(training) for _ in range(2))
    assert [one.predict(request).length for request in training[0][:5]] == [
        other.predict(request).length for request in training[0][:5]
    ]


def test_likeness_is_a_radial_kernel_of_the_statistics_and_one_of_the_layers() -> None:
    rows = np.random.default_rng(0).integers(-60, 60, (20, 6)).astype(np.int8)
    marks = Landmarks(rows, statistics=2, width=0.6, states=2.0)
    inputs = rows * GRAIN
    likeness = marks.likeness(inputs)
    assert np.diag(likeness) == pytest.approx(3.0, abs=1e-4)
    squares = (inputs[3] - inputs[7]) ** 2
    by_hand = np.exp(-0.6 * squares[:2].mean()) + 2 * np.exp(-0.6 * squares[2:].mean())
    assert likeness[3, 7] == pytest.approx(by_hand, rel=1e-3)


def test_without_layers_no_encoder_is_asked(training, monkeypatch) -> None:
    monkeypatch.setattr("policies.predictor.text_inputs.encoder", None)
    assert fit(training, layers=[]).predict(training[0][0]).length > 0


def test_ranks_are_shares_of_all_answers_and_lead_back_to_lengths() -> None:
    ranks, each = ranked([np.log([1.0, 2.0]), np.log([2.0, 4.0])])
    assert [one.tolist() for one in each] == [[0.125, 0.5], [0.5, 0.875]]
    assert np.exp(ranks.log_length(np.array([0.0, 0.5, 1.0]))) == pytest.approx([1, 2, 4])


def test_ranks_beyond_the_ends_keep_their_order() -> None:
    lengths = Ranks(np.linspace(0.7, 4.0, 401)).log_length(np.array([-0.2, 0.0, 0.5, 1.0, 1.1]))
    assert (np.diff(lengths) > 0).all()
    assert lengths[[1, 3]] == pytest.approx([0.7, 4.0])
