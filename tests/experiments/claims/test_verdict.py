"""The verdict on a claim, by its record and what was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.claims import Found
from experiments.claims.record import Claim
from experiments.claims.verdict import Verdict, of, of_one
from experiments.tables.stats import Interval

FALLS = Claim(
    name="falls", says="it falls", claimed=(-40.0, -30.0), none=0.0, unit="%", source="abstract", sure="R",
    experiment=None, ours="a.b", reason="so",
)  # fmt: skip
SLOWER = replace(FALLS, claimed=(2.0, 2.0), within=0.1, none=1.0)
EXACT = replace(FALLS, claimed=(2.0, 2.0), within=0.1, none=None)
DIRECTION = replace(FALLS, claimed=(None, 0.0))
HOLDS, IN_PART, DOES_NOT, CANNOT, GIVEN = Verdict


@pytest.mark.parametrize(
    ("claim", "mean", "half_width", "verdict"),
    [
        (FALLS, -35, 3, HOLDS),
        (FALLS, -35, 20, HOLDS),  # the interval is wide, and yet there is an effect
        (FALLS, -40, 0, HOLDS),
        (FALLS, -35, 36, CANNOT),
        (FALLS, -20, 25, CANNOT),
        (FALLS, 10, 45, CANNOT),
        (FALLS, -20, 5, IN_PART),
        (FALLS, -29, 3, IN_PART),  # they meet, and the estimate is outside
        (FALLS, -60, 5, IN_PART),
        (FALLS, -2, 5, DOES_NOT),  # no effect is possible, and what is claimed is not
        (FALLS, 0, 5, DOES_NOT),
        (FALLS, 30, 5, DOES_NOT),
        (DIRECTION, -1, 0.5, HOLDS),
        (DIRECTION, -1, 1, CANNOT),
        (DIRECTION, 1, 2, CANNOT),
        (DIRECTION, 2, 1, DOES_NOT),
        (SLOWER, 2.15, 0.2, HOLDS),
        (SLOWER, 1.5, 0.2, IN_PART),
        (SLOWER, 3, 0.2, IN_PART),
        (SLOWER, 0.5, 0.2, DOES_NOT),
        (SLOWER, 1.5, 0.6, CANNOT),
        (EXACT, 2.2, 0.2, HOLDS),
        (EXACT, 2.1, 0.05, HOLDS),
        (EXACT, 2.1, 0.3, CANNOT),  # so wide an interval tells nothing
        (EXACT, 2.0, 5, CANNOT),
        (EXACT, 1.79, 0.02, CANNOT),
        (EXACT, 1.79, 0.005, DOES_NOT),
        (EXACT, 2.0, np.nan, CANNOT),
        (FALLS, np.nan, np.nan, CANNOT),
    ],
)
def test_of_one_value(claim, mean, half_width, verdict):
    assert of_one(claim, Interval(mean, half_width)) is verdict


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ((-35, -31), HOLDS),
        ((-20, -60), IN_PART),
        ((-35, 30), IN_PART),
        ((-20, 30), IN_PART),
        ((30, 20), DOES_NOT),
    ],
)
def test_of_several_values(means, verdict):
    assert of(FALLS, [Found(str(mean), Interval(mean, 1.0)) for mean in means]) is verdict


def test_of_several_values_of_which_some_decide_nothing():
    nothing = Found("a", Interval(-20, 25))
    assert of(FALLS, [nothing, Found("b", Interval(-20, 30))]) is CANNOT
    assert of(FALLS, [nothing, Found("b", Interval(-35, 1))]) is IN_PART
    assert of(FALLS, [nothing, Found("b", Interval(35, 1))]) is DOES_NOT


def test_what_was_given_is_given_whatever_comes_out_and_what_is_assumed_or_not_there_cannot_be_said():
    for found in ([], [Found("", Interval(-35, 1))], [Found("", Interval(35, 1))]):
        assert of(replace(FALLS, given="lambda"), found) is GIVEN
        assert of(replace(FALLS, assumes="the CPU"), found) is CANNOT
    assert of(FALLS, []) is CANNOT


@given(st.floats(-100, 100), st.floats(0, 100), st.floats(-100, -0.5), st.floats(0, 50))
def test_the_other_way_round_the_verdict_is_the_same(mean, half_width, low, width):
    claim = replace(FALLS, claimed=(low, min(0.0, low + width)))
    other = replace(FALLS, claimed=(-claim.high, -claim.low))
    assert of_one(claim, Interval(mean, half_width)) is of_one(other, Interval(-mean, half_width))


@given(st.floats(-100, 100), st.floats(0, 100))
def test_what_holds_has_an_effect_within_the_claim_and_what_does_not_is_incompatible(mean, half_width):
    verdict = of_one(FALLS, Interval(mean, half_width))
    low, high = mean - half_width, mean + half_width
    if verdict is HOLDS:
        assert -40 <= mean <= -30
        assert high < 0
    if verdict is DOES_NOT:
        assert low > -30 or high < -40
