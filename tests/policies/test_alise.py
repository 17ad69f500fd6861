"""ALISE's parts: the time that a job still takes, the queues, and what goes to the host and comes back."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.eviction.waiting_time import ByWaitingTime
from policies.order.alise import Alise, Place
from policies.order.execution_time import ExecutionTime
from sim import Keep, Policy, Prediction, Request, Truth
from sim.job import Job
from sim.policy import Load
from tests.cases import Case, cases, continuous, examples, preemptive, ranked, stable
from tests.sim.test_leaping import assert_leap_equals_step

TIME = ExecutionTime(t0=0.25, alpha=0.125, beta=1.0)  # s per prompt token, per token of both, per output token
ORDER = Alise(TIME, quantum=8.0, growth=2.0, levels=4, patience=0.5)


def job(number=0, prompt=8, length=10.0, emitted=0, blocks=0, host_tokens=0, runs=False):
    made = Job(Request(number, 1.0 + number, prompt, Truth(999)), Prediction(length, length))
    made.base_emitted, made.blocks, made.host_tokens, made.admission = emitted, blocks, host_tokens, int(runs)
    made.base_computed = made.context - 1 if runs else 0
    made.note = ORDER.note(made, 0.0, 0)
    return made


def test_the_time_that_is_left_is_the_prefill_and_each_token_that_is_predicted():
    assert TIME.remaining(job()) == 8 * 0.25 + 10 * (0.125 * 8 + 1.0)
    assert TIME.remaining(job(emitted=4)) == 6 * 2.0, "the prefill is over"
    assert TIME.remaining(job(emitted=40)) == 0.0, "it was to be over long ago"


def test_a_job_is_in_the_queue_of_its_time_and_goes_up_as_it_waits():
    """Queues of up to 8, 16, 32 s, and of more; with 22 s left: promoted after 16 s, after 8 more, then no more."""
    waits = job()
    assert (ORDER.rank(waits, 0.0), ORDER.stands(waits, 0.0).instant) == (2.0, 16.0)
    assert ORDER.until_first(waits, 4.0) == 16 + 8 - 4
    for now, place, rank, until in (
        (15.0, Place(0, 0.0), 2.0, 16.0),
        (16.0, Place(1, 16.0), 1.0, 24.0),
        (25.0, Place(2, 24.0), 0.0, math.inf),
    ):
        waits.note = ORDER.note(waits, now, 0)
        assert (waits.note, ORDER.rank(waits, now), ORDER.stands(waits, now).instant) == (place, rank, until)
    assert ORDER.until_first(waits, 25.0) == 0.0
    assert ORDER.rank(job(length=1000.0), 0.0) == 3.0


def test_who_runs_goes_up_as_it_emits_keeps_its_promotions_and_waits_anew_when_it_stops():
    runs = job()
    runs.note = ORDER.note(runs, 16.0, 0)
    runs.admission, runs.base_emitted = 1, 4
    assert ORDER.rank(runs, 20.0) == 0.0, "12 s are left, and one promotion"
    assert ORDER.stands(runs, 20.0).tokens == math.inf
    runs.note = ORDER.note(runs, 30.0, 0)
    assert runs.note == Place(1, 30.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExecutionTime(-1.0, 0.0, 0.0), "t0 must be finite and not negative, got -1.0"),
        (lambda: ExecutionTime(0.0, math.inf, 0.0), "alpha must be finite and not negative, got inf"),
        (lambda: Alise(TIME, quantum=0.0), "quantum must be positive and finite, got 0.0 s"),
        (lambda: Alise(TIME, growth=1.0), "growth must be above 1 and finite, got 1.0"),
        (lambda: Alise(TIME, levels=0), "levels must be at least 1, got 0"),
        (lambda: Alise(TIME, patience=0.0), "patience must be positive, got 0.0"),
        (lambda: ByWaitingTime(TIME, reserve=1.0), "reserve must be a share from 0 to below 1, got 1.0"),
        (
            lambda: ORDER.until_first(Job(Request(0, 0.0, 1, Truth(1)), Prediction(1.0, 1.0)), 0.0),
            "noted nothing of Job",
        ),
    ],
)
def test_a_wrong_parameter_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def review(free, jobs, ageing=None, free_on_host=math.inf, reserve=0.25):
    """Of a device of 40 blocks of 16 tokens."""
    running = sum(one.runs for one in jobs)
    idle = [one for one in jobs if not one.runs and (one.blocks or one.host_tokens)]
    load = Load(free, 40, running, free_on_host, free_on_host, block_size=16)
    eviction = ByWaitingTime(TIME, reserve, ageing)
    answer = eviction.review(idle, jobs, load, 4.0)
    moves = [(one.request.id, keep) for one, keep in answer.moves]
    waits = eviction.waiting_times(idle, jobs, load, 4.0) if running else {}
    return moves, answer.steps, {one.request.id: wait for one, wait in waits.items()}


def four(**changes):
    """Two that run, with 6 and 22 s left, and two that wait, with 12 and 20."""
    first, second = job(0, length=7.0, emitted=4, runs=True), job(1, runs=True)
    return first, second, job(2, emitted=4, **changes), job(3, length=14.0, emitted=4, **changes)


def test_the_estimated_waiting_time_is_that_of_those_ahead_over_those_that_run():
    assert review(40, four(blocks=2))[2] == {2: (6 + 22) / 2, 3: (6 + 22 + 12) / 2}
    assert review(40, four(blocks=2), ageing=ORDER)[2] == {2: 8 - 4, 3: 20.0}, "or that until it is promoted"


def test_the_longest_waits_go_to_the_host_until_the_reserve_is_free():
    assert review(9, four(blocks=2))[:2] == ([(3, Keep.SWAP)], 1)
    assert review(7, four(blocks=2))[:2] == ([(3, Keep.SWAP), (2, Keep.SWAP)], 1)
    assert review(7, four(blocks=2), free_on_host=2)[0] == [(3, Keep.SWAP)]
    assert review(9, four(blocks=2), free_on_host=1)[0] == []
    leaves = job(4, blocks=3)  # on its way to the host, and not idle
    eviction, jobs = ByWaitingTime(TIME, 0.25), (*four(blocks=2), leaves)
    assert eviction.review(jobs[2:4], jobs, Load(7, 40, 2, leaving=3, block_size=16), 4.0).moves == ()


def test_the_shortest_waits_come_back_while_the_reserve_stays_free():
    """Two blocks each, and one that each of those who run may take in this step."""
    assert review(13, four(host_tokens=17))[:2] == ([], math.inf)
    assert review(14, four(host_tokens=17))[:2] == ([(2, Keep.KEEP)], 1)
    assert review(16, four(host_tokens=17))[0] == [(2, Keep.KEEP), (3, Keep.KEEP)]


def test_nobody_comes_back_before_one_who_is_still_to_be_prefilled():
    first, second, third, fourth = four(host_tokens=17)
    assert review(16, (first, second, job(4, length=1.0), third, fourth))[:2] == ([], 1)
    assert review(16, (first, second, third, job(4, length=1.0), fourth))[0] == [(2, Keep.KEEP)]


def test_an_answer_stands_until_blocks_may_run_short():
    assert review(10, four(blocks=2))[:2] == ([], 1)
    assert review(17, four(blocks=2))[:2] == ([], 3)
    nobody_runs = [job(2, blocks=2)]
    assert review(0, nobody_runs)[:2] == ([], 1)


times = st.sampled_from([ExecutionTime(1e-3, 1e-4, 0.01), ExecutionTime(0.0, 0.0, 0.05)])


@st.composite
def alise_cases(draw) -> Case:
    """Cases whose order and eviction are ALISE's."""
    time, case = draw(times), draw(cases(preemptive | ranked | continuous))
    order = Alise(time, draw(st.sampled_from([0.05, 0.2])), levels=4, patience=draw(st.sampled_from([20.0, 50.0])))
    shares, ageing = st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([None, order])
    eviction = ByWaitingTime(time, draw(shares), draw(ageing))
    policy = Policy(order, case.policy.batching, case.policy.routing, eviction, case.policy.overhead)
    return Case(case.requests, policy, case.cluster, case.predictor)


@settings(stable, max_examples=examples(400))
@given(alise_cases())
def test_leap_equals_step(case):
    assert_leap_equals_step(case)
