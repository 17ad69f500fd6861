"""SPEED's pipeline: which passes are in vain, how many tokens are in flight, and what a pass takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decoding.in_flight import InFlight
from policies.decoding.pipeline import Pipeline
from profiles.constant import constant
from profiles.profile import load
from sim import Request, Step, Truth

GROUP = constant(0.001, 1 << 20, 4096)
DEEP, FOUR = load("t5-v1.1-base", "a5000_analytic"), load("t5-v1.1-base-decoder-4", "a5000_analytic")


def request(tokens, number=0):
    return Request(number, 0.0, 4, Truth(tokens))


def by_hand(delays, repeats):
    """Pass by pass: whether a token is through, and how many are in flight beside. In flight are [place, times]."""
    flight, passes, following, last = [], [], 0, len(delays) - 1
    while sum(through for through, _ in passes) < len(delays):
        outstanding = any(times < delays[place] for place, times in flight if place < last)
        if following <= last or outstanding:
            flight.append([following, 0])
            following += 1
        for one in flight:
            one[1] += 1
        passes.append((int(flight[0][1] == repeats), len(flight) - 1))
        for number, (place, times) in enumerate(flight):
            if place >= last or times < delays[place]:
                break  # nothing follows the end; what stands behind a change that is to come says nothing
            if times == delays[place] > 1:
                flight, following = flight[: number + 1], place + 1
                break
        flight = flight[1:] if passes[-1][0] else flight
    return passes


@given(
    repeats=st.integers(2, 6), changes=st.lists(st.floats(0, 0.19), min_size=5, max_size=5),
    tokens=st.integers(2, 40), seed=st.integers(0, 99),
)  # fmt: skip
def test_it_is_a_pipeline(repeats, changes, tokens, seed):
    decoding = Pipeline(repeats - 1, changes[: repeats - 1], repeats - 1, GROUP, seed)
    delays = [int(one) for one in decoding._delays(request(tokens))[1:]]
    passes = decoding.passes(request(tokens), 1)
    assert list(zip(passes.emits, passes.proposed, strict=True)) == by_hand(delays, repeats)


def test_by_hand():
    """Three times through two passes each: the second place's prediction changes at its third time."""
    passes = Pipeline(2, [0.0, 0.0], 2, GROUP, seed=0).passes(request(6), 1)
    assert list(passes.emits) == [0, 0, 1, 1, 1, 1, 1]
    assert list(passes.proposed) == [0, 1, 2, 2, 2, 1, 0]
    begun = Pipeline(2, [0.0, 0.0], 0, GROUP, seed=0).passes(request(6), 1)
    assert list(begun.emits) == [1, 1, 1, 1, 1], "it filled as the prefill went by"
    assert list(begun.proposed) == [2, 2, 2, 1, 0]
    late = Pipeline(2, [0.0, 1.0], 2, GROUP, seed=0).passes(request(3), 1)
    assert list(late.emits) == [0, 0, 1, 0, 0, 1], "every prediction changes at the last time"
    assert list(late.proposed) == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("lookahead", "changes"), [(2, (0.08, 0.02)), (5, (0.1, 0.03, 0.01, 0.005, 0.005)), (5, (0.15, 0, 0, 0, 0))]
)
def test_as_many_passes_as_the_cost_model_says(lookahead, changes):
    """(N - 1) (1 + sum of p_j (j - 1)) + 1 + P - 1 for N tokens: no prediction is needed behind the last."""
    decoding, tokens = Pipeline(lookahead, changes, lookahead, GROUP, seed=5), 41
    counts = np.array([len(decoding.passes(request(tokens, number), 1).emits) for number in range(800)])
    delay = sum(chance * (at - 1) for at, chance in enumerate(changes, 2))
    expected = (tokens - 2) * (1 + delay) + 1 + lookahead
    assert counts.mean() == pytest.approx(expected, abs=3 * counts.std() / len(counts) ** 0.5)


def test_a_step_is_a_pass_of_the_group_over_all_in_flight():
    priced = Pipeline(2, (0.1, 0.0), 2, FOUR, 0).priced(DEEP)
    assert priced == InFlight(DEEP, FOUR)
    alone = priced.step_time(Step(decode_jobs=1, decode_context=100, proposed_tokens=2, rounds=2))
    assert alone == pytest.approx(FOUR.step_time(Step(decode_jobs=3, decode_context=300)))
    line = priced.decode_line(1, 100, proposed=2, rounds=2)
    assert alone == line.base + line.slope * 100
    assert alone < DEEP.step_time(Step(decode_jobs=1, decode_context=100)) / 2


def test_a_prompt_goes_through_all_layers_and_shares_a_load_with_those_that_decode():
    priced = InFlight(DEEP, FOUR)
    prompt = Step(prefill_tokens=200, prefill_attended=20_100)
    assert priced.step_time(prompt) == DEEP.step_time(prompt)
    decode = {"decode_jobs": 2, "decode_context": 600, "proposed_tokens": 4, "rounds": 2}
    apart = DEEP.step_time(prompt) + priced.step_time(Step(**decode))
    together = priced.step_time(prompt._replace(**decode))
    assert together == pytest.approx(apart - FOUR.fixed_seconds, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((2, (0.1,), 2), r"changes must be one for each of lookahead=2, got \(0.1,\)"),
        ((2, (0.7, 0.4), 2), "changes must be probabilities of no more than 1 together"),
        ((2, (0.1, 0.1), 3), "filling must be from 0 to lookahead=2 passes, got 3"),
    ],
)
def test_a_setting_that_means_nothing_is_said(settings, said):
    with pytest.raises(ValueError, match=said):
        Pipeline(*settings, GROUP, 0)
