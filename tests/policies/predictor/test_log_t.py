"""Predictors that say a law: log-t finds the one that answers were drawn from, and samples are told as they are."""

import math

import numpy as np
import pytest
from scipy.stats import t

from policies.predictor.log_t import cut_log_t, fit_log_t
from policies.predictor.samples import SamplesPredictor
from sim import Request, Truth

LAWS = {"name": (2.5, 0.2), "essay": (6.0, 0.6), "list": (4.5, 0.3)}  # mu and sigma by the word that a prompt has
PROMPTS = 600


def drawn(answers, seed=0, nu=3.5):
    """Requests, and log-t answers to each."""
    rng = np.random.default_rng(seed)
    kinds = [list(LAWS)[row % len(LAWS)] for row in range(PROMPTS)]
    requests = [
        Request(row, 0.0, 5, Truth(1), prompt_text=f"a {kind} of {row % 7} items") for row, kind in enumerate(kinds)
    ]
    scores = rng.standard_t(nu, (PROMPTS, answers))
    logs = [LAWS[kind][0] + LAWS[kind][1] * row for kind, row in zip(kinds, scores, strict=True)]
    return requests, [np.maximum(np.exp(row).round(), 1).astype(int).tolist() for row in logs]


def fitted(answers=10, **settings):
    requests, lengths = drawn(answers)
    return fit_log_t(requests, lengths, **{"nu": 3.5, "seconds": 0.25, **settings})


@pytest.mark.parametrize("answers", [1, 10])
def test_mu_and_sigma_of_what_was_drawn_are_found_from_one_answer_a_prompt_and_from_ten(answers):
    predictor = fitted(answers)
    for kind, (mu, sigma) in LAWS.items():
        found = predictor.law(f"a {kind} of 3 items")
        assert found[0] == pytest.approx(mu, abs=0.12)
        assert found[1] == pytest.approx(sigma, rel=0.35 if answers == 1 else 0.15)


def test_new_answers_lie_within_its_quantiles_as_often_as_these_say():
    predictor = fitted()
    requests, lengths = drawn(10, seed=1)
    for low, high in ((0.05, 0.95), (0.25, 0.75)):
        inside = []
        for request, row in zip(requests, lengths, strict=True):
            told = predictor.predict(request).distribution
            inside += [told.quantile(low) <= one <= told.quantile(high) for one in row]
        assert np.mean(inside) == pytest.approx(high - low, abs=0.03)


def test_what_would_be_longer_than_the_cap_lies_at_the_cap():
    told = cut_log_t(6.0, 0.5, 3.5, 800.0)
    over = t.sf((math.log(800) - 6.0) / 0.5, 3.5)
    assert told.lengths[-1] == 800
    assert told.levels[-1] == pytest.approx(1 - over)
    assert told.survival(799.999) == pytest.approx(over, abs=1e-6)
    shares = (np.arange(200_000) + 0.5) / 200_000
    exactly = np.minimum(np.exp(6.0 + 0.5 * t.ppf(shares, 3.5)), 800.0)
    assert told.mean == pytest.approx(exactly.mean(), rel=0.005)
    assert told.tail_mean(0.7) == pytest.approx(exactly[140_000:].mean(), rel=0.005)


@pytest.mark.parametrize(("mu", "longest", "mean"), [(9.0, 8.0, 8.0), (-9.0, 50.0, 1.0), (0.0, 1.0, 1.0)])
def test_no_law_lies_outside_one_token_and_the_cap(mu, longest, mean):
    told = cut_log_t(mu, 0.1, 3.5, longest)
    assert told.mean == pytest.approx(mean, rel=0.01)
    assert 1 <= told.lengths[0] <= told.lengths[-1] == longest


def test_the_cap_is_the_clients_or_the_longest_training_answer():
    predictor = fitted()
    bare = Request(0, 0.0, 5, Truth(1), prompt_text="a essay of 3 items")
    capped = Request(0, 0.0, 5, Truth(1), max_tokens=90, prompt_text="a essay of 3 items")
    assert predictor.predict(capped).distribution.lengths[-1] == 90
    assert predictor.predict(bare).distribution.lengths[-1] == predictor.longest == max(map(max, drawn(10)[1]))
    assert predictor.predict(bare).seconds == 0.25


def test_many_degrees_of_freedom_are_a_lognormal_and_none_are_refused():
    assert cut_log_t(5.0, 0.5, 1e6, 2000.0).mean == pytest.approx(math.exp(5.0 + 0.125), rel=0.005)
    for nu in (0.0, math.inf):
        with pytest.raises(ValueError, match=r"nu must be finite and at least 0\.1"):
            fitted(nu=nu)


def test_samples_are_told_as_equally_likely_answers():
    said = SamplesPredictor().predict(Request(0, 0.0, 5, Truth(1000, samples=(30, 10, 10, 20))))
    assert said.length == said.distribution.mean == 17.5
    assert [said.distribution.survival(tokens) for tokens in (9.9, 10, 25, 30)] == [1.0, 0.5, 0.25, 0.0]
    assert said.seconds == 0.0
    with pytest.raises(ValueError, match="request 3 carries no samples"):
        SamplesPredictor().predict(Request(3, 0.0, 5, Truth(7)))
