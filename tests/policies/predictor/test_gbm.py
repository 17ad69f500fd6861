"""Boosted quantiles: a law of the text is found, intervals hold what they say, trees are walked as by LightGBM."""

from __future__ import annotations

import numpy as np
import pytest

from policies.predictor.forest import of_boosters
from policies.predictor.gbm import fit_gbm
from sim import Request, Truth


def made(count: int, seed: int) -> tuple[list[Request], list[list[int]]]:
    """Answers are 4 tokens for each word of the prompt, times log-normal noise with sigma 0.4: three a prompt."""
    rng = np.random.default_rng(seed)
    words = rng.integers(2, 60, count)
    requests = [
        Request(at, 0.0, int(n) + 3, Truth(1), prompt_text="tell " + "so " * int(n)) for at, n in enumerate(words)
    ]
    answers = np.ceil(4 * words[:, None] * rng.lognormal(0, 0.4, (count, 3))).astype(int)
    return requests, answers.tolist()


def fit(requests, answers):
    kernel = {"layers": [], "landmarks": 50, "width": 0.6, "states": 2.0, "ridge": 0.25, "max_terms": 500, "seed": 0}
    boosting = {"learning_rate": 0.1, "num_leaves": 7, "min_data_in_leaf": 20}
    return fit_gbm(
        requests, answers, seconds=0.004, kernel=kernel, trees=40, boosting=boosting, samples=3, held_out=0.25, seed=0
    )


@pytest.fixture(scope="module")
def predictor():
    return fit(*made(600, 0))


def test_the_law_of_the_text_is_found_with_its_mean(predictor) -> None:
    requests, answers = made(300, 1)
    found = np.array([predictor.predict(request).length for request in requests])
    expected = np.array([np.mean(lengths) for lengths in answers])
    assert np.corrcoef(found, expected)[0, 1] > 0.8
    assert found.mean() == pytest.approx(expected.mean(), rel=0.08)


def test_ninety_of_a_hundred_answers_are_in_the_interval_of_ninety_percent(predictor) -> None:
    requests, answers = made(400, 2)
    inside = []
    for request, lengths in zip(requests, answers, strict=True):
        spread = predictor.predict(request).distribution
        assert spread is not None
        inside += [spread.quantile(0.05) <= length <= spread.quantile(0.95) for length in lengths]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_a_prediction_says_its_cost_and_stays_within_the_training_answers(predictor) -> None:
    found = predictor.predict(Request(0, 0.0, 5000, Truth(1), prompt_text="so " * 5000))
    assert found.seconds == 0.004
    assert found.length == found.uncertainty
    assert 1 <= found.length <= max(map(max, made(600, 0)[1]))


def test_too_few_requests_are_refused() -> None:
    requests, answers = made(19, 0)
    with pytest.raises(ValueError, match="needs 20 training requests or more, got 19"):
        fit(requests, answers)


def test_a_forest_says_what_lightgbm_says() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(500, 4))
    target = inputs[:, 0] * (inputs[:, 1] > 0) + rng.normal(size=500)
    settings = {"objective": "quantile", "num_leaves": 9, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    data = lightgbm.Dataset(inputs, target, free_raw_data=False)
    boosters = [lightgbm.train({**settings, "alpha": level}, data, 12) for level in (0.1, 0.8)]
    forest = of_boosters(boosters)
    expected = np.column_stack([booster.predict(inputs) for booster in boosters])
    assert np.array([forest(row) for row in inputs]) == pytest.approx(expected, abs=1e-12)
