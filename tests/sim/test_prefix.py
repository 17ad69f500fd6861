"""Prefix caching by runs of blocks comes to the same as block by block."""

import dataclasses
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from sim import Pause, Prediction, Request, Truth
from sim.engine import scheduler
from sim.engine.prefix import PrefixCache
from sim.job import Job
from tests.blockwise import BlockwiseCache, BlockwiseLockstep
from tests.cases import cases, examples, on_several, plain, sharing, stable
from tests.conftest import opens_the_engine

JOBS = 4
ids = st.sampled_from([1, 1, 1, 2])


@st.composite
def contents(draw):
    """Requests whose prompts and answers are often alike, at first; and the tokens in a block."""
    size, each = draw(st.sampled_from([1, 2, 3, 4])), draw(st.sampled_from([1, 1, 2, 3, 8, 16]))
    made = []
    for number in range(JOBS):
        prompt, output = draw(st.integers(1, 30)), draw(st.integers(1, 12))
        truth = Truth(output)
        told = {}
        if draw(st.integers(0, 4)):
            told = {"prompt_ids": tuple(draw(st.lists(ids, min_size=(n := -(-prompt // each)), max_size=n)))}
            if each == 1 and draw(st.booleans()):
                truth = Truth(output, (1,) * output)
            if output > 1 and draw(st.booleans()):
                truth = dataclasses.replace(truth, pauses=(Pause(draw(st.integers(1, output - 1)), 1.0, 3),))
        made.append(Request(number, 0.0, prompt, truth, id_tokens=each, **told))
    return size, made


class Pair:
    """The same done to two caches, by runs and block by block, and to a job of each for each request."""

    def __init__(self, size, total, requests):
        self.caches = PrefixCache(total, size), BlockwiseCache(total, size)
        self.jobs = [[Job(one, Prediction(1.0, 1.0)) for one in requests] for _ in self.caches]

    def both(self, number, act, *more):
        """Act on the job of a number in each cache: both say the same."""
        one, other = (act(kv, jobs[number], *more) for kv, jobs in zip(self.caches, self.jobs, strict=True))
        assert one == other

    def compare(self):
        one, other = self.caches
        assert one.free == other.free
        assert one._blank == other._blank
        for number in range(JOBS):
            self.both(
                number, lambda kv, job: (job.blocks, sum(run.blocks for run in kv.shared(job)) * bool(job.blocks))
            )
            if not self.jobs[0][number].blocks:
                self.both(number, lambda kv, job: (len(found := kv.find(job)), kv.missing(job, job.context, found)))
        held, blockwise = (
            [sum(run.blocks for run in runs) for runs in owned(kv, jobs)]
            for kv, jobs in zip(self.caches, self.jobs, strict=True)
        )
        assert held == blockwise


def owned(kv, jobs):
    """The runs that are held, those of each job and those of it and all before it."""
    seen = {}
    for job in jobs:
        held = list(kv.shared(job)) if job.blocks else []
        yield held
        seen.update(dict.fromkeys(held))
        yield list(seen)


def admit(kv, job, chunk):
    """Let `job` own what is found of it and a chunk more, if there are blocks for it: the blocks that were found."""
    found = kv.find(job)
    tokens = min(job.context, len(found) * kv.block_size + chunk)
    if kv.missing(job, tokens, found) <= kv.free:
        kv.allocate(job, tokens, found)
        job.base_computed = tokens
    return len(found)


def compute(kv, job, chunk):
    tokens = min(job.context, job.base_computed + chunk)
    if kv.missing(job, tokens) <= kv.free:
        kv.allocate(job, tokens)
        job.base_computed = tokens


def sample(kv, job, chunk):
    job.base_emitted = min(job.base_emitted + 1, job.request.truth.output_tokens)


def release(kv, job, chunk):
    kv.release(job)
    job.base_computed = job.ahead = 0


def forget(kv, job, chunk):
    job.base_computed = max(0, job.base_computed - chunk)
    kv.forget(job, job.base_computed)


def ahead(kv, job, chunk):
    """A token of `job` is on its way, or comes."""
    job.ahead = 1 - job.ahead
    kv.fill(job, min(job.base_computed, job.context - job.ahead))


ACTS = {"admit": admit, "compute": compute, "sample": sample, "release": release, "forget": forget, "ahead": ahead}


whats = st.sampled_from([*ACTS, "admit", "compute", "take"])
operations = st.lists(st.tuples(whats, st.integers(0, JOBS - 1), st.integers(1, 20)), min_size=15, max_size=60)


@opens_the_engine
@settings(stable, max_examples=examples(200))
@given(contents(), st.integers(1, 60), operations)
def test_runs_of_blocks_are_found_taken_and_evicted_as_blocks_are(contents, total, operations):
    size, requests = contents
    pair = Pair(size, total, requests)
    for what, number, chunk in operations:
        if what == "take":
            blocks = min(chunk, pair.caches[0].free)
            for kv in pair.caches:
                stranger = Job(Request(JOBS, 0.0, 1, Truth(1)), Prediction(1.0, 1.0))
                kv.allocate(stranger, blocks * size)
                kv.release(stranger)
        elif bool(pair.jobs[0][number].blocks) == (what != "admit"):
            pair.both(number, ACTS[what], chunk)
        pair.compare()


@opens_the_engine
@stable
@given(cases(sharing, caching=True) | on_several(sharing, caching=True))
def test_whole_runs_are_the_same_as_block_by_block(case):
    ours = case.run(audit=True)
    with (
        mock.patch.object(scheduler, "PrefixCache", BlockwiseCache),
        mock.patch.object(scheduler, "FillingLockstep", BlockwiseLockstep),
    ):
        blockwise = case.run(audit=True)
    assert plain(ours) == plain(blockwise)
    assert {name: column.tolist() for name, column in ours.audit.items()} == {
        name: column.tolist() for name, column in blockwise.audit.items()
    }
