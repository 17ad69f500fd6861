"""The oracle and the fitted regression."""

import math

import numpy as np
import pytest

from policies.predictor.columns import Columns
from policies.predictor.oracle import OraclePredictor
from policies.predictor.regression import LengthRegression, fit_length_regression
from policies.predictor.residuals import Residuals, out_of_fold
from sim import Distribution, Prediction, Request, Truth


def request(prompt, *features, output=1):
    return Request(0, 0.0, prompt, Truth(output), features=tuple(map(float, features)))


def training(count=400, noise=0.0, seed=0):
    """Requests whose lengths follow 3 * prompt ** 0.5 * exp(0.4 * f0 - 0.2 * f1), times log-normal noise."""
    rng = np.random.default_rng(seed)
    prompts, features = rng.integers(1, 500, count), rng.integers(0, 4, (count, 2))
    logs = np.log(3 * prompts**0.5) + features @ [0.4, -0.2] + noise * rng.standard_normal(count)
    return [request(int(p), *f) for p, f in zip(prompts, features, strict=True)], np.exp(logs)[:, None]


def fit(requests, answers, rules=(0, 1), **more):
    return fit_length_regression(requests, answers, prompt_length=True, rules=rules, seconds=0.001, **more)


def test_the_oracle_predicts_the_truth_free_of_charge():
    assert OraclePredictor().predict(request(5, output=17)) == Prediction(17.0, 17.0, 0.0, Distribution.certain(17.0))


def test_a_regression_recovers_the_law_that_its_training_set_follows():
    predictor = fit(*training(), ridge=1e-9)
    assert predictor.weights == pytest.approx((0.5, 0.4, -0.2))
    assert predictor.predict(request(100, 2, 1)).length == pytest.approx(30 * math.exp(0.6))


def test_with_noise_the_predictions_keep_the_mean():
    requests, answers = training(count=4000, noise=0.5, seed=1)
    predictor = fit(requests, answers)
    assert predictor.residuals.smearing > 1.1  # exp of the mean log would be low by exp(0.5 ** 2 / 2)
    assert np.mean([predictor.predict(one).length for one in requests]) == pytest.approx(answers.mean(), rel=0.03)


def test_a_prediction_says_its_cost_and_is_its_own_uncertainty():
    prediction = fit(*training()).predict(request(100, 2, 1))
    assert prediction.seconds == 0.001
    assert prediction.uncertainty == prediction.length


@pytest.mark.parametrize(("prompt", "feature", "length"), [(10**6, 5000, 200.0), (1, -5000, 3.0)])
def test_a_prediction_stays_within_the_lengths_of_the_training_set(prompt, feature, length):
    residuals = Residuals(1.2, (1.0,) * 21, shortest=3.0, longest=200.0)
    predictor = LengthRegression(Columns(True, (0,)), 1.0, (0.5, 1.0), residuals, seconds=0.0)
    assert predictor.predict(request(prompt, feature)).length == length


def test_a_column_that_never_varies_does_no_harm():
    requests, answers = training()
    constant = [request(one.prompt_tokens, *one.features, 7.0) for one in requests]
    flat = fit(constant, answers, rules=(0, 1, 2))
    assert flat.weights[3] == pytest.approx(0.0)
    assert flat.predict(constant[0]).length == pytest.approx(fit(requests, answers).predict(requests[0]).length)


def test_equal_training_sets_give_equal_predictors():
    assert fit(*training(noise=0.3, seed=4)) == fit(*training(noise=0.3, seed=4))
    assert fit(*training(noise=0.3, seed=4)) != fit(*training(noise=0.3, seed=5))


def test_features_that_are_missing_are_counted_in_the_error():
    with pytest.raises(ValueError, match="request 0 carries 0 text features, this predictor needs 2; a trace without"):
        fit(*training()).predict(request(5))
    assert fit(*training(), rules=()).predict(request(5)).length > 0


def test_a_training_set_too_small_is_refused():
    requests, answers = training(10)
    with pytest.raises(ValueError, match="a regression on 3 columns needs more training requests than 4"):
        fit(requests[:4], answers[:4])


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([[1]] * 9, "got 9 beside 10"),
        ([[1]] * 9 + [[]], r"request 0 needs answers of at least one token, got \[\]"),
        ([[1]] * 9 + [[4, 0]], r"request 0 needs answers of at least one token, got \[4, 0\]"),
    ],
)
def test_answers_that_do_not_fit_the_requests_are_refused(answers, said):
    with pytest.raises(ValueError, match=said):
        fit(training(10)[0], answers)


def test_a_request_may_have_many_answers_and_counts_once():
    requests, answers = training(noise=0.5)
    noise = np.exp(np.random.default_rng(7).normal(0, 0.5, (len(requests), 10)))
    noise /= noise.prod(axis=1, keepdims=True) ** 0.1  # the mean of the logs stays
    many, one = fit(requests, answers * noise), fit(requests, answers)
    assert many.weights == pytest.approx(one.weights)
    assert (
        many.residuals.smearing > 1.1 * one.residuals.smearing
    )  # the spread within a request is part of the mean length


def test_residuals_are_those_of_rows_that_the_fit_had_not_seen():
    sampled = [np.log([row + 1.0]) for row in range(10)]

    def remember(training, held):  # perfect where it has seen a row, wrong by a factor of two elsewhere
        assert not set(training) & set(held)
        return np.array([np.log(row + 1.0) - np.log(2.0) for row in held])

    residuals = out_of_fold(sampled, remember)
    assert residuals.smearing == pytest.approx(2.0)
    assert residuals.ratios == pytest.approx([1.0] * 21)
    assert (residuals.shortest, residuals.longest) == pytest.approx((1.0, 10.0))


def test_a_distribution_has_the_mean_and_covers_what_it_says():
    predictor = fit(*training(count=4000, noise=0.5, seed=1))
    requests, answers = training(count=4000, noise=0.5, seed=2)
    told = [predictor.predict(one) for one in requests]
    assert np.mean([one.distribution.mean / one.length for one in told]) == pytest.approx(1.0, abs=0.02)
    covered = [
        one.distribution.quantile(0.05) <= answer <= one.distribution.quantile(0.95)
        for one, (answer,) in zip(told, answers, strict=True)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * (0.9 * 0.1 / 4000) ** 0.5)
