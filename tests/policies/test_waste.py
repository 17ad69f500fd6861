"""INFERCEPT's waste of five jobs, worked out by hand, to the digit."""

import pytest

from policies.eviction.waste import Costs, chunked_discard, discard, preserve, released_discard, swap

# A step takes 10 ms and 0.1 ms for each of its tokens, of which 400 are worth while; a token is copied in 0.05 ms. 100
# tokens run, whose contexts sum up to 3,000 tokens, so that 300 are left for chunks.
COSTS = Costs(token_seconds=1e-4, step_seconds=0.01, swap_token_seconds=5e-5, budget=400)
RUNNING, OTHERS = 100, 3000
CHUNK = 300

# context, and a call's seconds; then equations 1 to 4, and the release's w_d (the context is of whole blocks):
FIVE = [
    # 1: T(900) = .1; .1 * 3900 = 390. 2: 2 * 900. 3: 2 * .045 * 3900 = 351.
    # 4: .1 * 450 + 3 T(300) * 3000 = 45 + 3 * .04 * 3000 = 45 + 360 = 405.
    # w_d: 3 chunks, 2 whole, last 900 mod 300 = 0: .05 * 300 * 3 + 1e-4 * (600 * 3000 + 0) = 45 + 180 = 225
    (900, 2.0, 390.0, 1800.0, 351.0, 405.0, 225.0),
    # 1: T(300) = .04; .04 * 3300 = 132. 2: .1 * 300. 3: 2 * .015 * 3300 = 99. 4: .04 * 150 + .04 * 3000 = 6 + 120.
    # w_d: one chunk, none whole, last 300 mod 300 = 0: nothing at all
    (300, 0.1, 132.0, 30.0, 99.0, 126.0, 0.0),
    # 1: T(1000) = .11; .11 * 4000 = 440. 2: .4 * 1000. 3: 2 * .05 * 4000 = 400.
    # 4: .11 * 500 + 4 T(250) * 3000 = 55 + 4 * .035 * 3000 = 55 + 420.
    # w_d: 4 chunks, 3 whole, last 100: .05 * 300 * 6 + 1e-4 * (900 * 3000 + 100 * 3100) = 90 + 270 + 31
    (1000, 0.4, 440.0, 400.0, 400.0, 475.0, 391.0),
    # 1: T(100) = .02; .02 * 3100 = 62. 2: 30 * 100. 3: 2 * .005 * 3100 = 31. 4: .02 * 50 + .02 * 3000 = 1 + 60.
    # w_d: one chunk, none whole, last 100: 1e-4 * 100 * 3100
    (100, 30.0, 62.0, 3000.0, 31.0, 61.0, 31.0),
    # 1: T(1800) = .19; .19 * 4800 = 912. 2: .0001 * 1800. 3: 2 * .09 * 4800 = 864.
    # 4: .19 * 900 + 6 T(300) * 3000 = 171 + 720.
    # w_d: 6 chunks, 5 whole: .05 * 300 * 15 + 1e-4 * 1500 * 3000 = 225 + 450
    (1800, 0.0001, 912.0, 0.18, 864.0, 891.0, 675.0),
]


@pytest.mark.parametrize(("context", "seconds", "dropped", "kept", "swapped", "chunked", "released"), FIVE)
def test_five_jobs_by_hand(context, seconds, dropped, kept, swapped, chunked, released):
    assert discard(context, OTHERS, COSTS) == pytest.approx(dropped, rel=1e-12)
    assert preserve(context, seconds) == pytest.approx(kept, rel=1e-12)
    assert swap(context, context + OTHERS, COSTS) == pytest.approx(swapped, rel=1e-12)
    assert COSTS.chunk(RUNNING) == CHUNK
    assert chunked_discard(context, OTHERS, CHUNK, COSTS) == pytest.approx(chunked, rel=1e-12)
    assert released_discard(context, OTHERS, RUNNING, COSTS) == pytest.approx(released, rel=1e-12)


def test_what_hides_behind_a_step():
    assert COSTS.hidden(100) == 400  # 20 ms, 0.05 ms each
    assert COSTS.hidden(1000) == 1000  # 50 ms: a step is of 400 tokens at most
    assert COSTS.chunk(399) == COSTS.chunk(1000) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("token_seconds", -1.0, "token_seconds must not be negative, got -1.0"),
        ("budget", 0, "budget must be at least 1 token, got 0"),
    ],
)
def test_costs_are_not_negative(name, value, message):
    values = {"token_seconds": 1e-4, "step_seconds": 0.01, "swap_token_seconds": 5e-5, "budget": 400}
    with pytest.raises(ValueError, match=message):
        Costs(**{**values, name: value})
