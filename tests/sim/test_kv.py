"""The KV cache, and the one that shares prefixes, by example."""

import pytest

from sim import Pause, Prediction, Request, Truth
from sim.engine.kv import KVCache
from sim.engine.prefix import PrefixCache
from sim.job import Job


@pytest.mark.parametrize("cache", [KVCache, PrefixCache])
def test_blocks_that_nobody_has_are_not_given(cache):
    kv = cache(2, 4)
    job = prompt(0, range(9))
    assert kv.missing(job, 9) == 3
    with pytest.raises(RuntimeError, match=r"asks for \d more blocks"):
        kv.allocate(job, 9)


def test_no_more_blocks_are_taken_than_are_free():
    kv = PrefixCache(3, 4)
    job = prompt(0, A[:9])
    admit(kv, job)
    kv.release(job)
    with pytest.raises(RuntimeError, match="2 blocks are to be taken that are not free"):
        kv.take(5)


# Blocks that are shared by their content


def prompt(number, ids, output=1, output_ids=(), id_tokens=1, tokens=None):
    truth, contents = Truth(output, tuple(output_ids)), {"prompt_ids": tuple(ids), "id_tokens": id_tokens}
    job = Job(Request(number, 0.0, tokens or len(ids) * id_tokens, truth, **contents), Prediction(1.0, 1.0))
    job.admission = number
    return job


def admit(kv, job, tokens=None):
    """Let `job` own the blocks of its whole prompt, or `tokens` of it; the tokens of it that were found."""
    found = kv.find(job)
    kv.allocate(job, tokens or job.context, found)
    return len(found) * kv.block_size


A, B, C = range(100, 130), range(200, 230), range(300, 330)


@pytest.mark.parametrize(("tokens", "hit"), [(3, 0), (4, 0), (5, 4), (8, 4), (9, 8), (12, 8), (13, 8), (30, 8)])
def test_full_blocks_are_found_and_one_token_is_always_left_to_compute(tokens, hit):
    kv = PrefixCache(100, 4)
    first = prompt(0, A[:11])
    assert admit(kv, first) == 0
    kv.release(first)
    assert kv.free == 100
    assert admit(kv, prompt(1, A[:tokens])) == hit


def test_a_block_is_found_only_behind_the_same_blocks():
    kv = PrefixCache(100, 4)
    admit(kv, prompt(0, [*A[:4], *B[:4], *C[:4], 1]))
    assert admit(kv, prompt(1, [*A[:4], *C[:4], 1])) == 4
    assert admit(kv, prompt(2, [*B[:4], *C[:4], 1])) == 0
    assert admit(kv, prompt(3, [*A[:4], *B[:4], *A[:4], 1])) == 8


def test_a_block_is_known_once_its_last_token_is_computed():
    kv = PrefixCache(100, 4)
    first = prompt(0, A[:20])
    admit(kv, first, tokens=7)
    assert len(kv.find(prompt(1, A[:20]))) == 1
    kv.allocate(first, 8)
    assert len(kv.find(prompt(1, A[:20]))) == 2


def test_a_shared_block_is_free_when_its_last_owner_leaves():
    kv = PrefixCache(10, 4)
    one, two, three = (prompt(number, A[:9]) for number in range(3))
    admit(kv, one)
    assert kv.free == 7
    assert kv.missing(two, 9, kv.find(two)) == 1
    admit(kv, two)
    assert kv.free == 6
    kv.release(one)
    assert kv.free == 7  # the block that it did not share
    kv.release(two)
    assert kv.free == 10
    assert kv.missing(three, 9, kv.find(three)) == 3  # what is found in nobody's use is no longer free


def test_blocks_without_content_are_taken_first_then_the_least_recently_used_from_its_tail():
    kv = PrefixCache(8, 4)
    one, two = prompt(0, A[:12]), prompt(1, B[:12])
    for job in (one, two):
        admit(kv, job)
    for job in (one, two):
        kv.release(job)

    def left():
        return [len(kv.find(prompt(9, [*ids[:12], 1]))) for ids in (A, B)]

    assert left() == [3, 3]
    taker = prompt(2, [1])
    for tokens, found in [(8, [3, 3]), (12, [2, 3]), (20, [0, 3]), (24, [0, 2])]:
        kv.allocate(taker, tokens)
        assert left() == found


def test_to_be_used_again_is_to_be_evicted_later():
    kv = PrefixCache(6, 4)
    jobs = [prompt(0, A[:12]), prompt(1, B[:12])]
    for job in jobs:
        admit(kv, job)
    for job in jobs:
        kv.release(job)
    again = prompt(2, A[:12])
    assert admit(kv, again) == 8  # its last block, with a token to compute, takes the place of the oldest
    kv.release(again)
    kv.allocate(prompt(3, [1]), 8)
    assert [len(kv.find(prompt(9, [*ids[:12], 1]))) for ids in (A, B)] == [3, 1]


def test_equal_blocks_of_two_jobs_are_not_merged_and_the_first_to_be_full_is_found():
    kv = PrefixCache(10, 4)
    one, two, three = (prompt(number, A[:9]) for number in range(3))
    found = [kv.find(one), kv.find(two)]
    kv.allocate(one, 9, found[0])
    kv.allocate(two, 9, found[1])
    assert kv.free == 4
    ones, twos = one.cached_runs, two.cached_runs
    assert [run for run, _, _ in kv.find(three).pieces] == ones != twos
    kv.release(one)
    assert kv.missing(three, 9, kv.find(three)) == 3  # though the other's are in use
    kv.release(two)
    kv.allocate(prompt(9, [1]), 4 * 8)  # six are without content, the next two are those of `one`
    assert [run for run, _, _ in kv.find(three).pieces] == twos


def test_a_preempted_job_finds_its_own_blocks_again_and_nobody_else_does():
    kv = PrefixCache(10, 4)
    job, stranger = (Job(Request(number, 0.0, 6, Truth(9)), Prediction(1.0, 1.0)) for number in range(2))
    admit(kv, job)
    job.base_emitted = 7
    kv.allocate(job, 13)
    kv.release(job)
    assert [len(kv.find(one)) for one in (job, stranger)] == [3, 0]
    assert admit(kv, stranger) == 0
    kv.allocate(prompt(9, [1]), 4 * 6)  # five are without content, the next is the last that the job filled
    assert len(kv.find(job)) == 2


def test_an_answer_whose_ids_are_known_is_found_behind_its_prompt():
    kv = PrefixCache(100, 4)
    answered = prompt(0, A[:6], output=7, output_ids=B[:7])
    admit(kv, answered)
    answered.base_emitted = 7
    kv.allocate(answered, 12)
    dialogue = prompt(1, [*A[:6], *B[:7], *C[:9]])
    assert admit(kv, dialogue) == 12
    assert admit(kv, prompt(2, [*A[:6], *B[:5], *C[:9]])) == 8
    assert admit(kv, prompt(3, [*A[:6], *C[:9]])) == 4


def test_an_answer_is_told_up_to_its_first_call_and_what_follows_is_found_by_the_job_alone():
    kv = PrefixCache(100, 4)
    truth = Truth(12, tuple(B[:12]), (Pause(6, 1.0, 5), Pause(9, 1.0, 5)))
    job = Job(Request(0, 0.0, 6, truth, prompt_ids=tuple(A[:6])), Prediction(1.0, 1.0))
    admit(kv, job)
    job.base_emitted = 6
    kv.allocate(job, 11)
    assert len(kv.find(prompt(1, [*A[:6], *B[:12], 1]))) == 2
    kv.release(job)  # its KV is dropped when it calls
    job.given += 5
    assert len(kv.find(job)) == 2
    assert admit(kv, job) == 8
    job.base_emitted = 9
    kv.allocate(job, 19)
    kv.release(job)
    job.given += 5
    assert len(kv.find(job)) == 4
    assert len(kv.find(prompt(2, [*A[:6], *B[:12], 1, 2, 3, 4]))) == 3  # told are the first 12 tokens


def test_an_id_may_stand_for_many_tokens():
    kv = PrefixCache(100, 16)
    admit(kv, prompt(0, [1, 2, 3], id_tokens=16, tokens=44))
    assert admit(kv, prompt(1, [1, 2, 3, 4], id_tokens=16)) == 32
    assert admit(kv, prompt(2, [1, 9, 3], id_tokens=16)) == 16
    assert admit(kv, prompt(3, [1, 2], id_tokens=16)) == 16
