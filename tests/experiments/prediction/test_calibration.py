"""The CRPS by its closed forms and by its integral, and what intervals hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from experiments.prediction.calibration import crps, fits, others
from experiments.prediction.concordance import resamples
from experiments.prediction.samples import Sampled
from experiments.prediction.scores import CEILING, Foretold, score
from sim import Request, Truth
from sim.prediction import Distribution, Prediction


@pytest.mark.parametrize("answer", [3.0, 10.0, 25.0])
def test_of_a_certain_length_it_is_the_distance(answer):
    assert crps(Distribution.certain(10.0), [answer]) == pytest.approx(abs(answer - 10.0))


@pytest.mark.parametrize("answer", [-0.5, 0.0, 0.3, 1.0, 1.7])
def test_of_an_even_spread(answer):
    inside = min(max(answer, 0.0), 1.0)
    expected = (inside**3 + (1 - inside) ** 3) / 3 + abs(answer - inside)
    assert crps(Distribution((0.0, 1.0), (0.0, 1.0)), [answer]) == pytest.approx(expected)


def test_of_a_gaussian():
    levels = np.linspace(1e-6, 1 - 1e-6, 20_001)
    told = Distribution(tuple(levels), tuple(100 + 10 * norm.ppf(levels)))
    for answer in (80.0, 100.0, 123.0):
        z = (answer - 100) / 10
        expected = 10 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))
        assert crps(told, [answer]) == pytest.approx(expected, rel=1e-3)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 45))
def test_of_atoms_it_is_the_mean_distance_less_half_of_that_between_them(atoms, answer):
    each = np.array(atoms, dtype=float)
    expected = np.abs(each - answer).mean() - np.abs(each[:, None] - each[None, :]).mean() / 2
    assert crps(Distribution.of_atoms(atoms), [answer])[0] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40)
@given(st.data())
def test_it_is_the_integral_for_any_curve(data):
    count = data.draw(st.integers(1, 5))
    levels = sorted(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
    lengths = sorted(data.draw(st.lists(st.integers(1, 20), min_size=count, max_size=count)))
    told, answer = Distribution(tuple(levels), tuple(map(float, lengths))), data.draw(st.integers(0, 25))
    grid = np.linspace(0, 26, 26 * 400, endpoint=False) + 0.5 / 400
    below = 1 - np.array([told.survival(one) for one in grid[::4]])
    integral = np.mean((below - (grid[::4] >= answer)) ** 2) * 26
    assert crps(told, [answer])[0] == pytest.approx(integral, abs=0.05)


def test_intervals_hold_as_many_as_they_say():
    told = Distribution((0.0, 1.0), (0.0, 100.0))
    found = fits(told, [1.0, 30.0, 50.0, 80.0])
    assert (found["coverage50"], found["coverage"], found["width"]) == (0.5, 0.75, pytest.approx(90.0))


def test_the_others_of_a_prompt_foretell_each():
    found = others([10, 10, 40])
    assert found["crps"] == pytest.approx((2 * (15 - 7.5) + 30) / 3)
    assert found["coverage"] == pytest.approx(2 / 3)


def test_the_truth_scores_best_and_the_ceiling_has_a_row_of_its_own():
    rng = np.random.default_rng(0)
    scales = rng.uniform(20, 400, 200)
    answers = np.maximum(rng.exponential(scales[:, None], (200, 10)), 1).astype(int)
    requests = tuple([Request(row, 0.0, 1, Truth(1)) for row in range(200)])
    data = Sampled("made", requests, answers, np.array(["a"] * 200))
    levels = (np.arange(200) + 0.5) / 200

    def law(scale: float, width: float = 1.0) -> Prediction:
        mean = scale * width
        return Prediction(mean, mean, distribution=Distribution(tuple(levels), tuple(-mean * np.log(1 - levels))))

    said = {
        "truth": [law(scale) for scale in scales],
        "narrow": [law(scale, 0.5) for scale in scales],
        "mean": [Prediction(scale, scale) for scale in scales],
    }
    found = score(data, {name: Foretold.of(each) for name, each in said.items()}, resamples(rng, 200, 5))
    crps_of = {name: scores.more["crps"][0] for name, scores in found.items()}
    assert crps_of["truth"] < min(crps_of["narrow"], crps_of["mean"])
    assert crps_of[CEILING] == pytest.approx(crps_of["truth"] * 10 / 9, rel=0.03)
    assert crps_of["mean"] == pytest.approx(found["mean"].more["mae"][0])
    assert found["truth"].more["coverage"][0] == pytest.approx(0.9, abs=0.02)
    assert found["truth"].more["coverage50"][0] == pytest.approx(0.5, abs=0.03)
