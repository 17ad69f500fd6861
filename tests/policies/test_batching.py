"""Static batching and consolidation on jobs made by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.consolidation import Consolidation
from policies.batching.continuous import Continuous
from policies.batching.limited import Limited
from policies.batching.static import Static
from policies.batching.trail import Trail
from sim import Hold, Prediction, Request, RequestLevel, Truth
from sim.job import Job


def jobs(*uncertainties, queued=0.0):
    """Waiting jobs in rank order, with these uncertainties."""
    made = []
    for number, uncertainty in enumerate(uncertainties):
        job = Job(Request(number, 0.0, 4, Truth(2)), Prediction(length=1.0, uncertainty=float(uncertainty)))
        job.queued = queued
        made.append(job)
    return tuple(made)


def consolidation(batch_size=3, lookahead=2.0, ratio=1.5, max_wait=0.0):
    return Consolidation(batch_size, lookahead, ratio, max_wait)


def ids(chosen):
    return [job.request.id for job in chosen]


def test_continuous_batching_admits_whoever_is_shown():
    waiting, running = jobs(1, 2), jobs(3)
    assert Continuous().select(waiting, dict.fromkeys(running).keys(), 0.0) == waiting


def test_the_defaults_of_continuous_batching_are_vllms():
    execution = Continuous().execution
    assert (execution.max_num_seqs, execution.max_num_batched_tokens, execution.chunked_prefill) == (128, 2048, True)


@pytest.mark.parametrize("batching", [Static(2), consolidation()], ids=["static", "consolidation"])
def test_a_static_batch_is_joined_by_nobody_and_takes_its_memory_as_it_goes(batching):
    execution = batching.execution
    assert isinstance(execution, RequestLevel)
    assert execution.max_num_seqs == batching.batch_size


@pytest.mark.parametrize("batching", [Static(3, max_wait=2.0), consolidation(lookahead=1.0, max_wait=2.0)], ids=repr)
def test_a_batch_waits_to_be_full_or_until_its_oldest_member_has_waited_long_enough(batching):
    early, late = jobs(5, queued=1.0), jobs(5, queued=2.5)
    assert batching.select(late + early, (), 2.9) == Hold(3.0)
    assert len(batching.select(late + early, (), 3.0)) == 2
    assert len(batching.select(jobs(5, 5, 5, queued=1.0), (), 1.0)) == 3


def test_consolidation_looks_ahead_before_it_starts():
    eager = consolidation(batch_size=2, lookahead=2.0, max_wait=9.0)
    assert eager.execution.window == 4
    assert eager.select(jobs(1, 1, 1), (), 0.0) == Hold(9.0)
    assert ids(eager.select(jobs(1, 1, 1, 1), (), 0.0)) == [0, 1]


@pytest.mark.parametrize(("size", "lookahead", "window"), [(16, 1.8, 28), (1, 1.0, 1), (3, 1.4, 4)])
def test_the_window_is_whole_jobs(size, lookahead, window):
    assert consolidation(size, lookahead).execution.window == window


@pytest.mark.parametrize(
    ("uncertainties", "batch"),
    [
        ((10, 30, 12, 11), [0, 3, 2]),  # nearest first, not first in rank
        ((10, 15.1, 9), [0, 2]),  # more than ratio x the first
        ((10, 14, 9), [0, 2]),  # within ratio of the first, and 14 > 1.5 x 9
        ((10, 12, 8), [0, 1, 2]),  # the largest is just ratio x the smallest
        ((10, 10, 10, 10), [0, 1, 2]),  # batch_size
        ((10, 100, 1000), [0]),
        ((0, 1, 0), [0, 2]),
    ],
)
def test_a_batch_is_the_first_in_rank_and_its_nearest_within_the_ratio(uncertainties, batch):
    assert ids(consolidation().select(jobs(*uncertainties), (), 0.0)) == batch


@settings(derandomize=True, deadline=None, max_examples=200, database=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.integers(1, 6), st.floats(1, 8))
def test_every_batch_holds_the_first_in_rank_is_alike_and_is_not_too_big(uncertainties, batch_size, ratio):
    waiting = jobs(*uncertainties)
    batch = consolidation(batch_size, ratio=ratio).select(waiting, (), 0.0)
    scores = [job.prediction.uncertainty for job in batch]
    assert batch[0] is waiting[0]
    assert len(set(batch)) == len(batch) <= batch_size
    assert max(scores) <= ratio * min(scores)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Static(0), "max_num_seqs must be positive, got 0"),
        (lambda: Static(2, max_wait=-1.0), "max_wait must not be negative, got -1.0"),
        (lambda: Static(2, max_wait=math.nan), "max_wait must not be negative, got nan"),
        (lambda: consolidation(batch_size=0), "max_num_seqs must be positive, got 0"),
        (lambda: consolidation(lookahead=0.5), "lookahead must be finite and at least 1, got 0.5"),
        (lambda: consolidation(lookahead=math.inf), "lookahead must be finite and at least 1, got inf"),
        (lambda: consolidation(ratio=0.9), "ratio must be at least 1, got 0.9"),
        (lambda: consolidation(ratio=math.nan), "ratio must be at least 1, got nan"),
        (lambda: consolidation(max_wait=-0.1), "max_wait must not be negative, got -0.1"),
        (lambda: Limited(share=-0.1), r"share must be within \[0, 1\], got -0.1"),
        (lambda: Limited(share=1.5), r"share must be within \[0, 1\], got 1.5"),
        (lambda: Trail(share=1.5), r"share must be within \[0, 1\], got 1.5"),
        (lambda: Trail(margin=-1.0), "margin must be finite and not negative, got -1.0"),
        (lambda: Trail(most=-1), "most must not be negative, got -1 preemptions"),
        (lambda: Limited(max_num_seqs=0), "max_num_seqs must be positive, got 0"),
        (lambda: Continuous(max_num_seqs=0), "max_num_seqs must be positive, got 0"),
        (lambda: Continuous(max_num_batched_tokens=0), "max_num_batched_tokens must be positive, got 0"),
        (lambda: Continuous(long_prefill_token_threshold=-1), "long_prefill_token_threshold must not be negative"),
    ],
)
def test_a_wrong_parameter_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
