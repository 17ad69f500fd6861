"""The errors of TRAIL's predictions, as its claims count them."""

from statistics import fmean

import pytest

from experiments.papers.trail.tables import counted_down, guessed, refined
from sim import Request, Truth
from tests.policies.predictor.test_trail import trail

REQUESTS = [Request(number, 0.0, 1, Truth(20 + number % 400), max_tokens=512) for number in range(400)]


def test_the_errors_are_at_each_observation_but_the_first():
    request = Request(0, 0.0, 1, Truth(30), max_tokens=512)
    guess = trail().predict(request).length
    assert guessed(trail(), request) == [abs(guess - 30)]
    assert counted_down(trail(), request) == [abs(max(0.0, guess - at) - (30 - at)) for at in (8, 16, 24)]
    assert len(refined(trail(), request)) == 3
    assert len(refined(trail(), request, once=True)) == 1


def test_observations_whose_errors_are_apart_tell_more_than_those_that_err_alike():
    apart, alike = (
        fmean(error for request in REQUESTS for error in refined(trail(correlation=level), request))
        for level in (0.0, 1.0)
    )
    prompt = fmean(error for request in REQUESTS for error in counted_down(trail(), request))
    assert apart < 0.7 * alike < 0.7 * prompt


def test_a_first_observation_has_the_error_that_was_given():
    found = fmean(error for request in REQUESTS for error in refined(trail(), request, once=True))
    assert found == pytest.approx(33.9, rel=0.15)
