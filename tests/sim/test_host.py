"""The host memory beside a device: a pool, and copies that a step waits for or that go on beside it."""

import dataclasses

import pytest
from hypothesis import given, settings

from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Eviction, HostMemory, Keep, Link, Record, Review, simulate
from tests.cases import cases, examples, hosts, on_several, plain, preemptive, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_leaping import assert_leap_equals_step


def serve(requests, host, eviction=None, **device):
    """Steps of a second on a device with blocks of one token, a byte each; one job at a time, the shortest first."""
    device = {"profile": LinearProfile(1.0, 0.0), "block_size": 1, "kv_bytes_per_token": 1, **device}
    policy = make_policy(order=SRPT(), batching=Preemptive(max_num_seqs=1), eviction=eviction or Swap())
    cluster = Cluster((make_device(host=host, **device),))
    return simulate(requests, policy, cluster, OraclePredictor(), record=Record.DECISIONS)


def granted(tables) -> list[dict[int, int]]:
    return [dict(decision.granted) for decision in tables.decisions]


LONG_AND_SHORT = ([0, 2.5], [4, 3], [6, 2])  # after three steps the first has six tokens computed


def test_a_step_waits_for_copies():
    """Six tokens go out at 3 s in 0.5 + 6 / 4 s and come back with the step that ends the second's two."""
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(link=Link(0.5, 4.0)))
    assert granted(tables)[3:6] == [{1: 3}, {1: 1}, {0: 1}]
    assert tables.steps["end"].tolist()[:6] == [1, 2, 3, 6, 7, 10]
    assert tables.steps["moved_tokens"].tolist()[3:6] == [6, 0, 6]
    assert tables.requests["finished"].tolist() == [12, 7]
    assert tables.requests["moved_tokens"].tolist() == [12, 0]
    assert not tables.requests["dropped_tokens"].any()


def test_without_a_link_the_profile_says_how_long_copies_take():
    profile = LinearProfile(1.0, 0.0, per_moved=0.25)
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(), profile=profile)
    assert tables.steps["end"].tolist()[:6] == [1, 2, 3, 5.5, 6.5, 9]


def test_copies_go_on_beside_the_steps():
    """Out from 3 s to 5; the second ends at 5 s, and then the KV of the first comes back until 7 s, idly."""
    link = Link(0.5, 4.0)
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(link=link, copying="overlapped"))
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {1: 3}, {1: 1}, {0: 1}, {0: 1}, {0: 1}]
    assert tables.steps["end"].tolist() == [1, 2, 3, 4, 5, 8, 9, 10]
    assert not tables.steps["moved_tokens"].any()
    assert tables.requests["moved_tokens"].tolist() == [12, 0]  # out and back
    slow = serve(make_requests(*LONG_AND_SHORT), HostMemory(link=Link(0.5, 2.0), copying="overlapped"))
    assert slow.steps["end"].tolist()[4:6] == [5, 11]  # it is there at 6.5 s, and back at 10


def test_blocks_are_held_until_the_copy_ends():
    """Nine blocks of ten are taken when the second comes, which needs three: it waits until six are gone, at 5 s."""
    tables = serve(
        make_requests(*LONG_AND_SHORT), HostMemory(link=Link(0.5, 4.0), copying="overlapped"), kv_tokens=9,
        max_model_len=10,
    )  # fmt: skip
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {}, {1: 3}, {1: 1}, {0: 1}, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [1, 0]
    assert tables.requests["first_scheduled"].tolist() == [0, 5]
    assert tables.steps["end"].tolist()[2:5] == [3, 4, 6]  # the step that only stops a job takes what any takes


def test_swap_drops_what_the_host_has_no_room_for():
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(tokens=5))
    assert granted(tables)[5] == {0: 7}
    assert [tables.requests[name].tolist() for name in ("moved_tokens", "dropped_tokens")] == [[0, 0], [6, 0]]
    assert granted(serve(make_requests(*LONG_AND_SHORT), HostMemory(tokens=7)))[5] == {0: 1}


def test_compressed_kv_takes_its_share_of_the_time_and_of_the_room():
    """Six tokens as three: out in 0.5 + 3 / 4 s, blocking or beside the steps; four hold them and the next."""
    half = HostMemory(link=Link(0.5, 4.0), share=0.5)
    tables = serve(make_requests(*LONG_AND_SHORT), half)
    assert tables.steps["end"].tolist()[3:6] == [5.25, 6.25, 8.5]
    assert tables.steps["moved_tokens"].tolist()[3:6] == [3, 0, 3]
    beside = dataclasses.replace(half, copying="overlapped", link=Link(0.5, 2.0))
    assert serve(make_requests(*LONG_AND_SHORT), beside).steps["end"].tolist()[4:6] == [5, 8]  # at 5 s + 2, and a step
    profile = LinearProfile(1.0, 0.0, per_moved=0.25)
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(share=0.5), profile=profile)
    assert tables.steps["end"].tolist()[3] == 3 + 1 + 3 * 0.25
    assert granted(serve(make_requests(*LONG_AND_SHORT), HostMemory(tokens=4, share=0.5)))[5] == {0: 1}
    assert granted(serve(make_requests(*LONG_AND_SHORT), HostMemory(tokens=3, share=0.5)))[5] == {0: 7}


class Blind(Swap):
    """Swaps whatever room there is."""

    def on_stop(self, job, cause, load, now):
        return Keep.SWAP


@pytest.mark.parametrize(
    ("eviction", "tokens", "message"),
    [
        (Blind(), 5, r"Job\(id=0, .*\) is to be swapped out, and needs 6 blocks of host memory: gpu has 5, of which 5"),
        (Swap(), 0, r"Swap has nowhere to put Job\(id=0, .*\): the host memory of its device is of 0 blocks"),
    ],
)
def test_a_swap_that_has_no_room_is_named(eviction, tokens, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        serve(make_requests(*LONG_AND_SHORT), HostMemory(tokens=tokens), eviction)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": -1}, "host.tokens must be a whole number of tokens, or null for no bound, got -1"),
        ({"tokens": 1.5}, "got 1.5"),
        ({"copying": "overlapped"}, "host.copying=overlapped needs host.link"),
        ({"copying": "never"}, "host.copying must be blocking or overlapped, got 'never'"),
        ({"share": 0.0}, "host.share must be above 0 and at most 1, got 0.0"),
        ({"share": 1.5}, "got 1.5"),
    ],
)
def test_a_host_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        HostMemory(**changes)


# Reviews


class Reviewing(Eviction):
    """Keeps KV, and says what it is told of the jobs that wait with some."""

    def __init__(self, *answers):
        self.answers = [*answers]
        self.seen = []

    def on_stop(self, job, cause, load, now):
        return Keep.KEEP

    def review(self, idle, jobs, load, now):
        self.seen.append([job.request.id for job in jobs])
        return self.answers.pop(0)(idle) if self.answers else Review()


def wait(steps):
    return lambda idle: Review(steps=steps)


def send(keep):
    return lambda idle: Review([(job, keep) for job in idle], steps=1)


def lazily(keep):
    return lambda idle: Review(zip(idle, [keep] * 99, strict=False), steps=1)


@pytest.mark.parametrize(
    ("answers", "again", "ends"),
    [
        ([], {0: 1}, [4, 5, 6]),
        ([send(Keep.DROP)], {0: 7}, [4, 5, 6]),
        ([lazily(Keep.DROP)], {0: 7}, [4, 5, 6]),
        ([send(Keep.SWAP)], {0: 1}, [4, 7, 10]),  # out with the step from 4 s on, back with that from 7 s on
        ([wait(1), send(Keep.SWAP)], {0: 1}, [4, 5, 10]),  # out and back in the step from 5 s on
        ([send(Keep.SWAP), send(Keep.KEEP)], {0: 1}, [4, 7, 10]),
        ([send(Keep.SWAP), send(Keep.DROP)], {0: 7}, [4, 7, 8]),
        ([send(Keep.KEEP)], {0: 1}, [4, 5, 6]),
    ],
)
def test_kv_of_waiting_jobs_goes_where_a_review_says(answers, again, ends):
    tables = serve(make_requests(*LONG_AND_SHORT), HostMemory(link=Link(0.5, 4.0)), Reviewing(*answers))
    assert granted(tables)[5] == again
    assert tables.steps["end"].tolist()[3:6] == ends


def test_a_review_is_shown_who_runs_and_then_who_waits():
    """The long job, stopped for a short one, waits behind another; then it is alone."""
    eviction = Reviewing()
    serve(make_requests(*LONG_AND_SHORT), HostMemory(), eviction)
    assert eviction.seen == [[1, 0], [0]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (wait(0), "Reviewing.review at 4.0 s is to stand for 0 steps, at least one"),
        (lambda idle: Review([("x", Keep.DROP)]), "review names x at 4.0 s, which it was not shown, or twice"),
        (lambda idle: Review([(idle[0], Keep.SWAP)] * 2), r"review names Job\(id=0.* at 4.0 s, which it was not shown"),
        (lambda idle: Review([(idle[0], "drop")]), r"review says 'drop' of Job\(id=0.* at 4.0 s: no sim.Keep"),
        (lambda idle: [], r"Reviewing.review says \[\] at 4.0 s: no sim.Review"),
    ],
)
def test_a_review_that_cannot_be_is_refused(answer, message):
    with pytest.raises(RuntimeError, match=message):
        serve(make_requests(*LONG_AND_SHORT), HostMemory(), Reviewing(answer))


class LooksLate(Reviewing):
    def review(self, idle, jobs, load, now):
        if self.seen:
            len(self.seen[0])
        self.seen.append(jobs)
        return Review(steps=1)


def test_who_is_here_is_looked_at_before_the_answer():
    """Later they would be others."""
    with pytest.raises(RuntimeError, match="are looked at after its answer"):
        serve(make_requests(*LONG_AND_SHORT), HostMemory(), LooksLate())


class BringsBack(Swap):
    def review(self, idle, jobs, load, now):
        return Review([(job, Keep.KEEP) for job in idle if job.host_tokens])


def test_what_is_brought_back_needs_room():
    message = r"BringsBack.review brings back Job\(id=0.*, which needs 6 blocks, and 5 are free"
    with pytest.raises(RuntimeError, match=message):
        serve(make_requests([0, 2.5], [4, 4], [6, 2]), HostMemory(), BringsBack(), kv_tokens=9, max_model_len=10)


class Returns(Reviewing):
    def on_stop(self, job, cause, load, now):
        return Keep.SWAP


def test_a_step_that_only_copies_takes_its_time():
    """Nobody runs when the second has ended: six tokens come back at 10 s each, and are then in their place."""
    profile = LinearProfile(1.0, 0.0, per_moved=10.0)
    host = HostMemory()
    tables = serve(make_requests([0, 2.5], [4, 3], [6, 1]), host, Returns(wait(1), wait(1)), profile=profile)
    assert tables.steps["moved_tokens"].tolist()[3:5] == [6, 6]
    assert tables.steps["seconds"].tolist()[3:5] == [61, 61]


# What holds of every run


@settings(stable, max_examples=examples(300))
@given(cases(preemptive) | on_several(preemptive))
def test_leap_equals_step_beside_a_host(case):
    assert_leap_equals_step(case)


@stable
@given(cases() | on_several(), hosts)
def test_a_host_that_nobody_uses_is_none(case, host):
    tables = []
    for eviction in (Recompute(), Resident()):
        policy = dataclasses.replace(case.policy, eviction=eviction)
        for memory in (host, HostMemory()):
            devices = tuple(dataclasses.replace(device, host=memory) for device in case.cluster.devices)
            cluster = dataclasses.replace(case.cluster, devices=devices)
            tables.append(plain(dataclasses.replace(case, policy=policy, cluster=cluster).run()))
    assert tables[0] == tables[1]
    assert tables[2] == tables[3]
