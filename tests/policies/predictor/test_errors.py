"""The oracle with errors of a stated size: noise, and SSJF's measured confusion."""

import math

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import kendalltau

from policies.predictor.draws import normal, uniform
from policies.predictor.noise import AdditiveNoise, AdversarialNoise, MultiplicativeNoise
from policies.predictor.ssjf_confusion import confusion
from sim import Request, Truth
from tests.conftest import ROOT

MANY = 10_000


def answers(lengths):
    return [Request(number, 0.0, 10, Truth(int(length))) for number, length in enumerate(lengths)]


def said(predictor, lengths):
    return np.array([predictor.predict(request).length for request in answers(lengths)])


def coverage(predictor, lengths):
    """How often the truth is within the predicted 90 % interval."""
    told = [predictor.predict(request).distribution for request in answers(lengths)]
    return np.mean(
        [one.quantile(0.05) <= length <= one.quantile(0.95) for one, length in zip(told, lengths, strict=True)]
    )


def test_draws_are_uniform_and_normal_and_those_for_other_things_are_others():
    flat = np.array([uniform(0, number) for number in range(MANY)])
    assert flat.min() > 0
    assert flat.max() < 1
    assert np.histogram(flat, 10, (0, 1))[0] == pytest.approx(MANY / 10, abs=4.5 * (MANY * 0.09) ** 0.5)
    bell = np.array([normal(0, number) for number in range(MANY)])
    assert (bell.mean(), bell.std()) == pytest.approx((0, 1), abs=4 / MANY**0.5)
    assert abs(np.corrcoef(bell, [normal(1, number) for number in range(MANY)])[0, 1]) < 4 / MANY**0.5
    assert uniform(1, 23) == uniform(1, 23) != uniform(12, 3)


def test_additive_noise_has_its_mean_absolute_error_and_covers_what_it_says():
    lengths = np.full(MANY, 1000)
    predictor = AdditiveNoise(sigma=40 * math.sqrt(math.pi / 2), seed=3)
    errors = said(predictor, lengths) - lengths
    assert np.abs(errors).mean() == pytest.approx(40, rel=0.02)
    assert errors.mean() == pytest.approx(0, abs=4 * 50 / MANY**0.5)
    assert coverage(predictor, lengths) == pytest.approx(0.9, abs=4 * (0.09 / MANY) ** 0.5)


def test_no_noisy_length_is_below_one_token():
    lengths = said(AdditiveNoise(sigma=100.0, seed=0), np.full(500, 5))
    assert lengths.min() == 1.0
    assert AdditiveNoise(sigma=1.0, seed=0).predict(answers([5])[0]).seconds == 0.0, "free unless said otherwise"
    assert said(MultiplicativeNoise(sigma=3.0, seed=0), np.full(500, 2)).min() == 1.0


@pytest.mark.parametrize(("shift", "kept"), [(0.0, np.median), (-0.125, np.mean)])
def test_multiplicative_noise_keeps_the_median_or_the_mean(shift, kept):
    lengths = np.full(MANY, 1000)
    predictor = MultiplicativeNoise(sigma=0.5, seed=3, shift=shift)
    noisy = said(predictor, lengths)
    assert kept(noisy) == pytest.approx(1000, rel=0.02)
    assert np.log(noisy).std() == pytest.approx(0.5, rel=0.02)
    assert coverage(predictor, lengths) == pytest.approx(0.9, abs=4 * (0.09 / MANY) ** 0.5)


@pytest.mark.parametrize(("probability", "tau"), [(0.0, 1.0), (1.0, -1.0)])
def test_adversarial_noise_turns_ranks_round(probability, tau):
    lengths = np.arange(1, 401)
    predictor = AdversarialNoise(probability, shortest=1.0, longest=400.0, seed=0)
    assert kendalltau(said(predictor, lengths), lengths).statistic == pytest.approx(tau)


def test_adversarial_noise_strikes_as_often_as_it_says_and_says_so():
    lengths = np.full(MANY, 10)
    predictor = AdversarialNoise(0.3, shortest=2.0, longest=500.0, seed=0)
    noisy = said(predictor, lengths)
    assert set(noisy) == {10.0, 100.0}
    assert (noisy == 100.0).mean() == pytest.approx(0.3, abs=4 * (0.21 / MANY) ** 0.5)
    told = predictor.predict(answers([10])[0])
    assert told.distribution.mean == pytest.approx(0.7 * told.length + 0.3 * 1000 / told.length)
    assert said(predictor, [10_000] * 100).min() == 2.0  # beyond the range it is the range's end that is reflected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AdditiveNoise(-1.0, 0), "sigma must be finite and not negative, got -1.0"),
        (lambda: MultiplicativeNoise(math.nan, 0), "sigma must be finite and not negative, got nan"),
        (lambda: AdversarialNoise(1.5, 1.0, 2.0, 0), r"probability must be within \[0, 1\], got 1.5"),
        (lambda: AdversarialNoise(0.5, 3.0, 2.0, 0), "1 <= shortest < longest, got 3.0, 2.0"),
        (lambda: confusion([1, 2], [20, 90], [[1, 0], [0, 1]], 0.0, 0), "2 means need 3 edges and 2 x 2 counts, got 2"),
        (lambda: confusion([1, 2, 3], [20, 90], [[1, 0], [1]], 0.0, 0), r"rows of \[2, 1\]"),
        (lambda: confusion([1, 2, 3], [1, 2], [[0, 0], [1, 1]], 0.0, 0), "each class needs positive counts"),
        (lambda: confusion([1, 2, 3], [1, 2], [[1, 0], [1, 0]], 0.0, 0), "each class needs positive counts"),
        (lambda: confusion([1, 2, 3], [1, 2], [[3, -1], [1, 1]], 0.0, 0), "each class needs positive counts"),
    ],
)
def test_what_makes_no_sense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def ssjf():
    """SSJF's yaml, and the matrix in it."""
    cfg = OmegaConf.load(ROOT / "experiments" / "conf" / "predictor" / "ssjf_confusion.yaml")
    cfg.seed = 5
    return instantiate(cfg, _convert_="all"), np.array(cfg.counts), np.array(cfg.means)


def test_ssjf_is_confused_as_often_as_was_measured():
    predictor, counts, means = ssjf()
    truth = np.repeat(np.arange(5), counts.sum(axis=1))
    requests = answers(means[truth])
    classes = {prediction: number for number, prediction in enumerate(predictor.predictions)}
    drawn = np.zeros((5, 5))
    for true_class, request in zip(truth, requests, strict=True):
        drawn[true_class, classes[predictor.predict(request)]] += 1
    assert len(requests) == 85_482
    spread = np.sqrt(counts * (1 - counts / counts.sum(axis=1, keepdims=True)))
    assert (np.abs(drawn - counts) < 4.5 * spread).all()
    assert np.trace(drawn) / len(requests) == pytest.approx(0.600, abs=0.005)


def test_ssjfs_bounds_belong_to_the_class_below_and_longer_answers_to_the_last():
    certain = confusion([1, 42, 141, 294, 503, 511], [20, 90, 215, 389, 509], np.eye(5, dtype=int).tolist(), 0.0, 0)
    lengths = {1: 20, 42: 20, 43: 90, 141: 90, 142: 215, 294: 215, 295: 389, 503: 389, 504: 509, 9000: 509}
    assert said(certain, list(lengths)).tolist() == list(lengths.values())


def test_ssjf_says_what_answers_of_the_predicted_class_were():
    predictor, counts, means = ssjf()
    for predicted, prediction in enumerate(predictor.predictions):
        share = counts[:, predicted] / counts[:, predicted].sum()
        assert prediction.length == pytest.approx(share @ means)
        assert prediction.distribution.survival(141) == pytest.approx(share[2:].sum())
        assert prediction.seconds == 7.8e-3
    lengths = [prediction.length for prediction in predictor.predictions]
    assert lengths == sorted(lengths)
