"""The blocks that jobs take as they decode together, against brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Prediction, Request, Truth
from sim.engine.growth import FillingLockstep, GrowingLockstep
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.prefix import PrefixCache
from sim.job import Job
from tests.cases import stable


def blocks(tokens, size):
    return -(-tokens // size)


def decoding(number, computed, **contents):
    """A job that decodes, with so many tokens computed."""
    made = Job(Request(number, 0.0, computed, Truth(10**6), **contents), Prediction(1.0, 1.0))
    made.base_computed, made.base_emitted, made.admission = computed, 1, number
    return made


def joined(lockstep, jobs):
    """Let `jobs` own the blocks of what they have computed, and decode in `lockstep`."""
    for job in jobs:
        lockstep.kv.allocate(job, job.base_computed)
        lockstep.join(job)


KINDS = [(KVCache, GrowingLockstep), (PrefixCache, FillingLockstep)]
events = st.lists(
    st.tuples(st.just("join"), st.integers(1, 40))
    | st.tuples(st.just("tick"), st.integers(1, 30))
    | st.tuples(st.just("leave"), st.integers(0, 9)),
    max_size=25,
)


@stable
@given(events, st.sampled_from([1, 2, 3, 16]), st.sampled_from(KINDS), st.booleans())
def test_jobs_in_lockstep_take_a_block_whenever_they_need_one(events, size, kinds, leaps):
    """`computed` is what each job has computed, looked at one by one."""
    kv, computed, gone = kinds[0](10**5, size), {}, {}
    lockstep = kinds[1](kv)
    for number, (what, value) in enumerate(events):
        if what == "join":
            job = decoding(number, value)
            joined(lockstep, [job])
            computed[job] = value
        elif what == "tick":
            need = sum(blocks(tokens + value, size) - blocks(tokens, size) for tokens in computed.values())
            before = kv.free
            if leaps:
                assert lockstep.grow()
                assert before - kv.free + lockstep.growth(value - 1) == need
                lockstep.advance(value)
            else:
                for _ in range(value):
                    assert lockstep.grow()
                    lockstep.advance(1)
            assert before - kv.free == need
            computed = {job: tokens + value for job, tokens in computed.items()}
        elif computed:
            job = list(computed)[value % len(computed)]
            lockstep.ends = [end for end in lockstep.ends if end[2] is not job]
            lockstep.leave(job)
            tokens = gone[job] = computed.pop(job)
            assert (job.computed, job.blocks) == (tokens, blocks(tokens, size))
        used = sum(blocks(tokens, size) for tokens in (*computed.values(), *gone.values()))
        assert kv.total - kv.free == used
    for job in computed:
        lockstep.leave(job)
    for job in (*computed, *gone):
        kv.release(job)
    assert kv.free == kv.total


@stable
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from([1, 2, 3, 16]),
    st.integers(0, 60),
    st.integers(0, 40),
    st.integers(1, 50),
)
def test_the_free_blocks_last_for_as_many_ticks_as_taking_them_one_by_one_shows(computed, size, spare, tick, most):
    total = sum(blocks(tokens, size) for tokens in computed) + spare
    lockstep = GrowingLockstep(KVCache(total, size))
    lockstep.tick = tick
    joined(lockstep, [decoding(number, tokens) for number, tokens in enumerate(computed)])
    assert lockstep.kv.free == spare
    lasts, taken = lockstep.ticks_within(most), 0
    while taken < most:
        lockstep.tick += 1
        if not lockstep.grow():
            break
        taken += 1
    assert lasts == taken


def test_ticks_are_refused_that_would_leave_too_few_blocks():
    kv = KVCache(5, 4)
    lockstep = GrowingLockstep(kv)
    joined(lockstep, [decoding(number, 4) for number in range(2)])
    assert not lockstep.grow(2)
    assert kv.free == 3
    assert lockstep.grow(1)
    assert kv.free == 1
    lockstep.advance(4)
    assert not lockstep.grow()


def test_jobs_whose_blocks_were_set_aside_take_none():
    kv = KVCache(5, 4)
    lockstep, job = Lockstep(kv), decoding(0, 4)
    kv.allocate(job, 16)
    lockstep.join(job)
    assert (lockstep.grow(1), lockstep.grow(2)) == (True, False)
    assert (lockstep.growth(99), lockstep.ticks_within(99)) == (0, 99)
    lockstep.advance(9)
    lockstep.leave(job)
    assert (job.computed, job.blocks, kv.free) == (13, 4, 1)


@pytest.mark.parametrize("leaps", [True, False])
def test_jobs_in_lockstep_fill_blocks_in_the_order_of_admission(leaps):
    kv = PrefixCache(100, 4)
    lockstep, truth = FillingLockstep(kv), Truth(20, (7,) * 20)

    def job(number, *ids):
        made = Job(Request(number, 0.0, len(ids), truth, prompt_ids=ids), Prediction(1.0, 1.0))
        made.base_computed, made.base_emitted, made.admission = len(ids), 1, number
        return made

    late, early = job(2, 1, 2), job(1, 1, 2)
    stranger = job(3, 1, 2, *(7,) * 20)
    joined(lockstep, [late, early])
    assert lockstep.shares_output
    lockstep.grow()
    assert not kv.find(stranger)
    if leaps:
        lockstep.advance(2)
    else:
        lockstep.advance(1)
        lockstep.grow()
    assert [run for run, _, _ in kv.find(stranger).pieces] == early.cached_runs
