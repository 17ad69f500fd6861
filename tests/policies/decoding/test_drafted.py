"""A step of a small and a large model takes what both take, and is a line of the contexts where it only decodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.decoding.drafted import Drafted
from profiles.profile import load
from sim import Step
from tests.conftest import LinearProfile

LARGE = LinearProfile(fixed=0.01, per_token=1e-4, per_context=1e-6)
SMALL = LinearProfile(fixed=0.002, per_token=1e-5, per_context=1e-7)
PAIR = Drafted(LARGE, SMALL)


def test_one_job_drafts_alone_and_is_checked_at_once() -> None:
    step = Step(decode_jobs=1, decode_context=100, proposed_tokens=3, rounds=3)
    drafting = sum(0.002 + 1e-5 + 1e-7 * context for context in (100, 101, 102))
    assert PAIR.step_time(step) == pytest.approx(0.01 + 4e-4 + 1e-6 * 100 + drafting)


def test_as_many_draft_in_each_round_as_on_average() -> None:
    # five tokens in two rounds: two of the three jobs draft in one of them, all three in the other
    step = Step(decode_jobs=3, decode_context=300, proposed_tokens=5, rounds=2)
    narrow, wide = (0.002 + 1e-5 * width + 1e-7 * (100 * width + width / 2) for width in (2, 3))
    assert PAIR.step_time(step) == pytest.approx(0.01 + 8e-4 + 1e-6 * 300 + narrow + wide)


def test_without_proposals_a_decode_step_is_the_large_models() -> None:
    step = Step(decode_jobs=3, decode_context=300)
    assert PAIR.step_time(step) == LARGE.step_time(step)
    assert PAIR.decode_line(3, 300) == LARGE.decode_line(3, 300)


def test_prompts_go_through_both() -> None:
    step = Step(prefill_tokens=10, prefill_attended=55, prefill_jobs=1)
    assert PAIR.step_time(step) == LARGE.step_time(step) + SMALL.step_time(step)
    beside = step._replace(decode_jobs=2, decode_context=200, proposed_tokens=2, rounds=1)
    checked = step._replace(decode_jobs=4, decode_context=200)
    drafting = 0.002 + 2e-5 + 1e-7 * 200
    assert PAIR.step_time(beside) == pytest.approx(LARGE.step_time(checked) + SMALL.step_time(step) + drafting)


def test_copied_kv_is_the_large_models() -> None:
    moving = Step(decode_jobs=1, decode_context=100, moved_tokens=50, proposed_tokens=1, rounds=1)
    large = LinearProfile(fixed=0.01, per_moved=1e-5)
    still = moving._replace(moved_tokens=0)
    assert Drafted(large, SMALL).step_time(moving) == pytest.approx(Drafted(large, SMALL).step_time(still) + 50e-5)


@pytest.mark.parametrize(("proposed", "rounds"), [(2, 3), (7, 3), (1, 0)])
def test_more_rounds_than_tokens_or_more_tokens_than_jobs_draft_are_refused(proposed: int, rounds: int) -> None:
    with pytest.raises(ValueError, match=f"2 jobs cannot be proposed {proposed} tokens in {rounds} rounds"):
        PAIR.decode_line(2, 100, 0, proposed, rounds)


@given(
    jobs=st.integers(1, 20),
    mean=st.integers(1, 400),
    rounds=st.integers(0, 10),
    data=st.data(),
    more=st.integers(0, 50),
)
def test_the_line_is_the_step_and_holds_along_it(
    jobs: int, mean: int, rounds: int, data: st.DataObject, more: int
) -> None:
    pair = Drafted(load("smollm2-135m", "l40s"), load("gpt2", "l40s"))
    proposed = data.draw(st.integers(rounds, rounds * jobs))
    context = jobs * mean
    line = pair.decode_line(jobs, context, 0, proposed, rounds)
    assert line.since <= context <= line.until
    along = context + more
    step = Step(decode_jobs=jobs, decode_context=along, proposed_tokens=proposed, rounds=rounds)
    if along <= line.until:
        assert pair.step_time(step) == line.base + line.slope * along
