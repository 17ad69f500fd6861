"""The curve: it falls only where its base does, is exact at knots, honest about its range, a line in the context."""

import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.curve import Curve

CURVE = Curve("tiny on nothing, decode", (2, 4, 8), (0.01, 0.02, 0.02), (1e-5, 1e-5, 3e-5), max_context=100)


@st.composite
def curves(draw):
    knots = sorted(draw(st.sets(st.integers(1, 5000), min_size=2, max_size=8)))
    rises = st.floats(0, 1, allow_subnormal=False)

    def rising():
        total, values = 0.0, []
        for _ in knots:
            total += draw(rises)
            values.append(total)
        return tuple(values)

    return Curve("drawn", tuple(knots), rising(), rising(), max_context=1000)


@given(curves(), st.data())
def test_time_never_falls_with_tokens_or_context(curve, data):
    top = int(curve.knots[-1] * curve.extrapolation)
    fewer, more = sorted(data.draw(st.tuples(st.integers(1, top), st.integers(1, top))))
    shorter, longer = sorted(data.draw(st.tuples(st.integers(0, 1250), st.integers(0, 1250))))
    least = curve.time(fewer, shorter * fewer)
    slack = 1e-9 * max(1.0, least)
    assert least >= 0
    assert curve.time(more, shorter * more) >= least - slack
    assert curve.time(fewer, longer * fewer) >= least - slack


def test_it_is_exact_at_the_knots_and_linear_between_and_beyond():
    assert CURVE.time(4, 4 * 50) == pytest.approx(0.02 + 50 * 1e-5)
    assert CURVE.time(8, 8 * 50) == pytest.approx(0.02 + 50 * 3e-5)
    assert CURVE.time(6, 6 * 50) == pytest.approx(0.02 + 50 * 2e-5)
    assert CURVE.time(10, 10 * 50) == pytest.approx(0.02 + 50 * 4e-5)
    assert CURVE.time(1, 50) == pytest.approx(0.005 + 50 * 1e-5)
    assert CURVE.intercept() == pytest.approx(0.0)


@given(curves(), st.integers(1, 6000), st.integers(1, 1250), st.integers(0, 1250))
def test_a_line_is_the_time_of_all_passes_over_so_many_tokens(curve, tokens, asked, context):
    tokens = min(tokens, curve.knots[-1])
    line = curve.line(tokens, tokens * asked)
    assert line == curve.line(tokens, tokens * context)
    assert line.base + line.slope * (tokens * context) == curve.time(tokens, tokens * context)
    assert (line.since, line.until) == (0, tokens * 1250)


@pytest.mark.parametrize(
    ("tokens", "attended", "asked"),
    [
        (11, 11, "11 tokens with a mean context of 1"),
        (4, 4 * 126, "4 tokens with a mean context of 126"),
        (0, 0, "0 tokens"),
    ],
)
def test_outside_the_range_the_error_names_what_was_asked_and_what_was_measured(tokens, attended, asked):
    with pytest.raises(ValueError, match=asked) as caught:
        CURVE.time(tokens, attended)
    for part in ("tiny on nothing, decode", "from 2 to 8 tokens", "mean context of 100", "1.25 times"):
        assert part in str(caught.value)


def test_a_line_may_not_run_out_of_the_range():
    assert CURVE.line(4, 4 * 100).until == 4 * 125
    assert CURVE.line(4, 4 * 125) == CURVE.line(4, 4)
    with pytest.raises(ValueError, match="mean context of 126"):
        CURVE.line(4, 4 * 126)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"knots": (2, 2, 8)}, "knots must be positive and rise"),
        ({"base": (0.02, -0.01, 0.02)}, "base must not be negative"),
        ({"slope": (-1e-5, 0.0, 0.0)}, "slope must not be negative"),
        ({"slope": (0.0,)}, "equally long"),
        ({"max_context": 0}, "max_context must be positive, got 0"),
        ({"extrapolation": 0.5}, "extrapolation must be 1 or more, got 0.5"),
    ],
)
def test_a_curve_that_is_no_curve_is_refused(changes, message):
    fields = {field.name: getattr(CURVE, field.name) for field in dataclasses.fields(Curve)} | changes
    with pytest.raises(ValueError, match=message):
        Curve(**fields)


def test_it_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(CURVE)) == CURVE
