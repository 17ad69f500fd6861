"""Predicted distributions, and predictions that are refined as tokens come."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.order.srpt import SRPT
from sim import Distribution, Prediction
from sim.job import Job
from tests.conftest import make_requests

SAMPLES = st.lists(st.floats(1, 1e4), min_size=1, max_size=30)


def test_a_histogram_is_told_exactly() -> None:
    told = Distribution.of_histogram([0, 10, 20, 40], [1, 0, 3])
    assert told.mean == pytest.approx(0.25 * 5 + 0.75 * 30)
    assert told.quantile(0.125) == pytest.approx(5)
    assert told.quantile(0.625) == pytest.approx(30)
    assert [told.survival(tokens) for tokens in (0, 5, 10, 15, 20, 30, 40)] == pytest.approx(
        [1, 0.875, 0.75, 0.75, 0.75, 0.375, 0]
    )


@given(SAMPLES)
def test_samples_keep_their_mean_and_median(lengths: list[float]) -> None:
    told = Distribution.of_samples(lengths)
    assert told.mean == pytest.approx(np.mean(lengths))
    assert told.quantile(0.5) == pytest.approx(np.median(lengths))


@given(SAMPLES, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_survival_undoes_them(lengths: list[float], low: float, high: float) -> None:
    told = Distribution.of_samples(lengths)
    low, high = sorted((low, high))
    assert told.quantile(low) <= told.quantile(high)
    assert told.survival(told.quantile(high) * (1 + 1e-9) + 1e-9) <= 1 - min(high, told.levels[-1]) + 1e-6


@pytest.mark.parametrize(
    ("levels", "lengths", "said"),
    [
        ((), (), "as many levels"),
        ((0.5,), (1.0, 2.0), "as many levels"),
        ((0.5, 0.4), (1.0, 2.0), "levels must be within"),
        ((-0.1, 0.4), (1.0, 2.0), "levels must be within"),
        ((0.1, math.nan), (1.0, 2.0), "levels must be within"),
        ((0.1, 0.4), (2.0, 1.0), "lengths must be finite"),
        ((0.1, 0.4), (2.0, math.inf), "lengths must be finite"),
        ((0.1, 0.4), (-2.0, 1.0), "lengths must be finite"),
    ],
)
def test_an_unsound_distribution_is_refused(levels, lengths, said) -> None:
    with pytest.raises(ValueError, match=said):
        Distribution(levels, lengths)


@pytest.mark.parametrize(("edges", "masses"), [([0, 1], []), ([0, 1], [0]), ([0, 1, 2], [2, -1])])
def test_an_unsound_histogram_is_refused(edges, masses) -> None:
    with pytest.raises(ValueError, match="a histogram needs"):
        Distribution.of_histogram(edges, masses)


def test_a_refined_prediction_is_asked_for_once_tokens_have_come() -> None:
    asked = []

    class Refining:
        def refine(self, request, prediction, emitted):
            asked.append((request.id, prediction.length, emitted))
            return 7.0

    job = Job(make_requests([0], [1], [50])[0], Prediction(20.0, 20.0), Refining())
    assert SRPT().rank(job, 0.0) == 20.0
    job.base_emitted = 3
    assert SRPT().rank(job, 0.0) == 7.0
    assert asked == [(0, 20.0, 3)]


def test_without_refinement_what_is_left_is_the_prediction_less_what_came() -> None:
    job = Job(make_requests([0], [1], [50])[0], Prediction(20.0, 20.0))
    job.base_emitted = 30
    assert job.remaining == 0.0
