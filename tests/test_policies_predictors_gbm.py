"""Boosted trees: a law of the text is found, and quantiles hold what they say on prompts that were never seen."""

from __future__ import annotations

import numpy as np
import pytest

from policies.predictors.gbm import fit_gbm
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


@pytest.fixture(scope="module")
def predictor():
    return fit_gbm(*made(600, 0), seconds=0.004)


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
    assert predictor.shortest <= found.length <= predictor.longest


def test_too_few_requests_are_refused() -> None:
    requests, answers = made(19, 0)
    with pytest.raises(ValueError, match="need 20 training requests or more: 19"):
        fit_gbm(requests, answers, seconds=0.0)
