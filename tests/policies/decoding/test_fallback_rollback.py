"""BiLD on proposals made by hand: where it falls back, what is rolled back, and what its code does otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.decoding.drawn_fallback_rollback import DrawnFallbackRollback, chances
from policies.decoding.fallback_rollback import FallbackRollback, Run
from policies.decoding.fallback_rollback_released import FallbackRollbackReleased
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Passes, Proposal, Request, Truth, simulate
from tests.conftest import LinearProfile, make_device, make_policy

SMALL = LinearProfile()
THRESHOLDS = {"draft": SMALL, "fallback_below": 0.5, "rollback_above": 3.0}
SURE, UNSURE = Proposal(0.9, 0.1, True), Proposal(0.4, 0.1, True)
WRONG, STRANGE = Proposal(0.9, 5.0, False), Proposal(0.9, 5.0, True)  # of both the large model is surprised
TOLERATED = Proposal(0.9, 2.0, False)


def request(*proposals: Proposal) -> Request:
    return Request(0, 0.0, 1, Truth(len(proposals), proposals=proposals))


def told(passes: Passes) -> list[tuple[int, int]]:
    return list(zip(list(passes.emits), list(passes.proposed), strict=True))


def test_an_unsure_token_is_discarded_and_the_large_model_says_it() -> None:
    passes = FallbackRollback(**THRESHOLDS).passes(request(SURE, SURE, UNSURE, UNSURE, SURE), 0)
    assert told(passes) == [(3, 3), (1, 1), (2, 1)]  # the last is cut: the answer ends in the small model's run


def test_the_first_token_that_surprises_the_large_model_goes_with_all_behind_it() -> None:
    decoding = FallbackRollback(**THRESHOLDS)
    one = request(SURE, WRONG, SURE, SURE, UNSURE, SURE)
    assert list(decoding.runs(one, 0)) == [Run(0, 5, 1, True), Run(2, 3, 2, False), Run(5, 1, 1, False)]
    assert told(decoding.passes(one, 0))[0] == (2, 5)


def test_what_it_would_not_have_said_and_does_not_surprise_it_stands() -> None:
    assert told(FallbackRollback(**THRESHOLDS).passes(request(TOLERATED, TOLERATED, UNSURE), 0)) == [(3, 3)]


def test_thresholds_are_not_passed_by_what_equals_them() -> None:
    equal = request(Proposal(0.5, 3.0, False), SURE, UNSURE)
    assert told(FallbackRollback(**THRESHOLDS).passes(equal, 0)) == [(3, 3)]


def test_after_so_many_tokens_the_large_models_turn_comes_without_a_discarded_one() -> None:
    passes = FallbackRollback(**THRESHOLDS, lookahead=2).passes(request(*[SURE] * 7), 0)
    assert told(passes) == [(3, 2), (3, 2), (2, 1)]


def test_decoding_begins_where_the_answer_stands() -> None:
    assert told(FallbackRollback(**THRESHOLDS).passes(request(WRONG, UNSURE, SURE, UNSURE), 2)) == [(2, 2)]


def test_the_code_runs_the_large_model_once_more_after_a_rollback() -> None:
    one = request(SURE, WRONG, SURE, SURE, UNSURE)
    assert told(FallbackRollbackReleased(**THRESHOLDS).passes(one, 0)) == [(2, 5), (1, 0), (2, 2)]
    assert told(FallbackRollbackReleased(**THRESHOLDS).passes(request(SURE, WRONG), 0)) == [(2, 2)]  # none is left


def test_the_code_leaves_out_a_rollback_to_the_same_token_and_those_behind_it() -> None:
    one = request(STRANGE, WRONG, UNSURE)
    assert told(FallbackRollback(**THRESHOLDS).passes(one, 0)) == [(1, 3), (1, 2), (1, 1)]
    assert told(FallbackRollbackReleased(**THRESHOLDS).passes(one, 0)) == [(3, 3)]


def test_a_trace_without_proposals_is_refused() -> None:
    with pytest.raises(ValueError, match="request 0: its trace has no `proposals`"):
        FallbackRollback(**THRESHOLDS).passes(Request(0, 0.0, 1, Truth(5)), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lookahead": 0}, "lookahead must be a whole number of tokens from 1 to 1,024, got 0"),
        ({"fallback_below": 1.5}, "fallback_below must be a probability, got 1.5"),
        ({"rollback_above": -1.0}, "rollback_above must not be negative, got -1.0"),
    ],
)
def test_what_is_no_threshold_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FallbackRollback(**{**THRESHOLDS, **changes})


proposals = st.builds(Proposal, st.floats(0, 1), st.floats(0, 10), st.booleans())


@given(
    st.lists(proposals, min_size=1, max_size=40), st.integers(1, 10), st.sampled_from(FallbackRollback.__subclasses__())
)
def test_passes_emit_the_answer_and_no_more_than_proposed_and_one(said, lookahead, released) -> None:
    for kind in (FallbackRollback, released):
        decoding = kind(**THRESHOLDS, lookahead=lookahead)
        passes = told(decoding.passes(request(*said), 0))
        assert sum(emits for emits, _ in passes) in (len(said), len(said) + 1)
        assert all(1 <= emits <= proposed + 1 and proposed <= lookahead for emits, proposed in passes)


@pytest.mark.parametrize(("fallback", "rollback"), [(0.2109, 0.0156), (0.3684, 0.2424), (0.25, 0.0), (1.0, 0.0)])
def test_drawn_rates_come_out(fallback: float, rollback: float) -> None:
    decoding = DrawnFallbackRollback(SMALL, fallback, rollback)
    made = list(decoding.runs(Request(3, 0.0, 1, Truth(60_000)), 0))
    tokens = sum(run.kept + 1 for run in made)
    assert len(made) / tokens == pytest.approx(fallback, rel=0.02)
    assert sum(run.rolled_back for run in made) / tokens == pytest.approx(rollback, rel=0.05)


def test_draws_are_by_place_and_by_request() -> None:
    decoding = DrawnFallbackRollback(SMALL, 0.3, 0.1)
    one, other = (Request(number, 0.0, 1, Truth(200)) for number in (0, 1))
    whole = list(decoding.runs(one, 0))
    assert list(decoding.runs(one, whole[5].start)) == whole[5:]
    assert list(decoding.runs(other, 0)) != whole


@pytest.mark.parametrize(("fallback", "rollback"), [(0.05, 0.0), (1.1, 0.0), (0.3, 0.4), (0.3, -0.1), (0.1, 0.0999)])
def test_rates_that_no_run_has_are_refused(fallback: float, rollback: float) -> None:
    with pytest.raises(ValueError, match=r"rate|no probabilities|call a token"):
        chances(fallback, rollback, 10)


def test_the_latency_of_one_request_is_the_sum_of_its_passes() -> None:
    """By hand: the prompt through both models, then in each pass what is drafted, and the check of all of it."""
    large, small = LinearProfile(0.01, 1e-4, 1e-6), LinearProfile(0.002, 1e-5, 1e-7)
    decoding = FallbackRollbackReleased(small, 0.5, 3.0)
    proposals = (SURE, SURE, WRONG, SURE, UNSURE, SURE, SURE, SURE)
    one = Request(0, 0.0, 20, Truth(len(proposals), proposals=proposals))
    device = make_device(profile=large, decoding=decoding)
    tables = simulate([one], make_policy(batching=Continuous(max_num_seqs=1)), Cluster((device,)), OraclePredictor())
    context, seconds = 21, 0.012 + 20 * 1.1e-4  # 20 tokens and the first of the answer
    for emits, proposed in [(2, 4), (1, 0), (1, 1), (4, 3)]:
        seconds += 0.01 + 1e-4 * (1 + proposed) + 1e-6 * context
        seconds += sum(0.002 + 1e-5 + 1e-7 * (context + drafted) for drafted in range(proposed))
        context += emits
    assert tables.requests["finished"][0] == pytest.approx(seconds)
    assert tables.requests["passes"][0] == 4
