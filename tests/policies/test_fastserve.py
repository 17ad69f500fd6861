"""FastServe's parts: at which level a job comes in and how it goes on, who is expected to run next, what is swapped."""

import dataclasses
import math
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.eviction.keep import Resident
from policies.eviction.proactive import Proactive
from policies.eviction.reserve import Reserve
from policies.order.fifo import FIFO
from policies.order.mlfq import MLFQ, Place
from policies.order.prefill_seconds import Profiled, Tabled
from policies.order.skip_join import SkipJoin
from policies.order.skip_join_released import SkipJoinReleased, Spot
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Keep, Prediction, Record, Request, Truth, simulate
from sim.job import Job
from sim.policy import Load
from tests.cases import cases, examples, on_several, preemptive, ranked, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_leaping import assert_leap_equals_step

MS = Tabled([1, 1000], [0.001, 1.0])  # a millisecond a token


def job(prompt=1, number=0, **fields) -> Job:
    made = Job(Request(number, 0.0, prompt, Truth(9)), Prediction(9.0, 9.0))
    for name, value in fields.items():
        setattr(made, name, value)
    return made


orders = st.sampled_from(
    [
        SkipJoin(quantum=0.02, patience=0.4, prefill=MS),
        SkipJoin(quantum=0.01, levels=5, patience=3.0, prefill=Tabled([1, 40], [0.0, 0.1]), eta=2),
        MLFQ(quantum=0.02, levels=30, patience=0.3),
    ]
)
released = st.builds(
    SkipJoinReleased,
    prefill=st.sampled_from([MS, Tabled([1], [0.0015])]),
    quantum=st.sampled_from([0.01, 0.05]),
    patience=st.sampled_from([0.5, 1.0]),
    every=st.sampled_from([1, 7, 40]),
)
pairs = st.tuples(orders | released, st.sampled_from([Reserve, Proactive]))


def roomy(case):
    """With host memory without a bound: what is dropped under so little patience is computed anew for ever.

    Nor is KV set aside for answers, which a reserve knows nothing of: two might take each other's place for ever.
    """
    case = case.with_batching(reserve_output=False)
    devices = [
        dataclasses.replace(one, host=dataclasses.replace(one.host, tokens=None)) for one in case.cluster.devices
    ]
    return dataclasses.replace(case, cluster=dataclasses.replace(case.cluster, devices=tuple(devices)))


@settings(stable, max_examples=examples(200))
@given(cases(ranked | preemptive) | on_several(ranked), pairs, st.sampled_from([0, 2, 9]))
def test_leap_equals_step_under_fastserve(case, parts, free_blocks):
    order, kind = parts
    eviction = kind(order, free_blocks, case.policy.batching.max_num_seqs)
    policy = dataclasses.replace(case.policy, order=order, eviction=eviction)
    with patch("sim.engine.parked.FRUITLESS", 2000):
        try:
            assert_leap_equals_step(dataclasses.replace(roomy(case), policy=policy))
        except RuntimeError as error:  # in so little memory some take each other's place for ever, which ends a run
            if "KV moved" not in str(error):
                raise


# At which level a job comes in


@pytest.mark.parametrize(("prompt", "level"), [(1, 0), (9, 0), (11, 1), (21, 2), (100, 4), (900, 7)])
def test_a_job_comes_in_at_the_first_level_whose_quantum_its_prefill_does_not_exceed(prompt, level):
    """A millisecond a token, quanta of 10, 20, 40 ms and so on."""
    assert SkipJoin(quantum=0.01, prefill=MS).note(job(prompt), 3.0, 0) == Place(level, 3.0, 0.0, 0.0, 3.0)
    assert SkipJoinReleased(MS).note(job(prompt), 3.0, 8) == Spot(level, 3.0, 0.0, 3.0, 8, 3.0)


def test_the_last_level_takes_whatever_is_longer_and_nobody_skips_by_the_prefill_times_that_were_released():
    assert SkipJoin(quantum=0.01, levels=3, prefill=MS).note(job(900), 0.0, 0).level == 2
    flawed = SkipJoinReleased(Tabled([1, 4096], [0.0015, 0.0036]))
    assert {flawed.note(job(prompt), 0.0, 0).level for prompt in (1, 16, 500, 4096)} == {0}


def test_prefill_times_are_straight_between_those_of_a_table_or_a_profiles_own():
    table = Tabled([10, 20, 40], [1.0, 3.0, 4.0])
    assert [table.seconds(tokens) for tokens in (1, 10, 15, 20, 30, 40, 90)] == [1.0, 1.0, 2.0, 3.0, 3.5, 4.0, 4.0]
    profile = LinearProfile(fixed=0.5, per_token=0.25, per_context=1.0)
    assert Profiled(profile).seconds(4) == 1.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tabled([1, 2], [0.1]), "prefill times need a time for each length, got 2 and 1"),
        (lambda: Tabled([], []), "prefill times need a time for each length, got 0 and 0"),
        (lambda: Tabled([2, 2], [0.1, 0.1]), r"prefill times need lengths that rise, got \[2, 2\] tokens"),
        (lambda: Tabled([1], [math.inf]), r"prefill times must be finite and not negative, got \[inf\] s"),
        (lambda: SkipJoin(prefill=MS, eta=0), "eta must be at least 1 level, got 0"),
        (lambda: SkipJoin(prefill=MS, quantum=0.0), "quantum must be positive and finite, got 0.0 s"),
        (lambda: SkipJoinReleased(MS, quantum=math.inf), "quantum must be positive and finite, got inf s"),
        (lambda: SkipJoinReleased(MS, growth=1.0), "growth must be more than 1 and finite, got 1.0"),
        (lambda: SkipJoinReleased(MS, patience=0.0), "patience must be positive, got 0.0 s"),
        (lambda: SkipJoinReleased(MS, every=0), "every must be at least 1 step, got 0"),
        (lambda: Reserve(FIFO(), -1, 1), "free_blocks must be at least 0, got -1"),
        (lambda: Reserve(FIFO(), 1, 0), "seats must be at least 1, got 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# How it goes on


def test_a_job_goes_eta_levels_down():
    order, begun = SkipJoin(quantum=1.0, prefill=MS, eta=2, levels=8), job(1, admission=1)
    begun.note = Place(0, 0.0, 0.0, 0.0, 0.0)
    assert order.note(begun, 1.0, 1) == Place(2, 1.0, 0.0, 0.0, 1.0)
    assert order.note(begun, 5.5, 1) == Place(4, 5.5, 0.5, 0.0, 5.5)
    begun.note = Place(6, 0.0, 0.0, 0.0, 0.0)
    assert order.note(begun, 1000.0, 1).level == 7


def finished(order, requests, phases="by_rank") -> list[float]:
    """When each of `requests` ends where one runs at a time, and a token takes a second."""
    device = make_device(profile=LinearProfile(0.0, 1.0), block_size=1)
    batching = Continuous(1, 64, chunked_prefill=False, phases=phases)
    policy = make_policy(order=order, batching=batching, eviction=Resident())
    tables = simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.REQUESTS)
    return tables.requests["finished"].tolist()


def test_a_short_prompt_passes_a_long_one_that_skips_the_first_levels():
    """Quanta of 2, 4, 8 s; a prompt of 5 tokens and an answer of 2, one of 1 and 3.

    The second waits for a prefill of 5 s, unless the first skips to the third level.
    """
    requests = make_requests([0, 0], [5, 1], [2, 3])
    second = Tabled([1, 9], [1.0, 9.0])
    assert finished(FIFO(), requests) == [6.0, 9.0]
    assert finished(MLFQ(quantum=2.0, patience=99.0), requests) == [8.0, 9.0]
    assert finished(SkipJoin(quantum=2.0, patience=99.0, prefill=second), requests) == [9.0, 3.0]
    assert finished(SkipJoin(quantum=2.0, patience=1.5, prefill=second), requests) == [9.0, 8.0]
    assert finished(SkipJoinReleased(second, quantum=2.0, patience=99.0), requests) == [9.0, 3.0]
    flawed = SkipJoinReleased(Tabled([1], [0.0]), quantum=2.0, patience=99.0)  # more than a quantum is too much
    assert finished(flawed, requests) == [9.0, 8.0]


def test_in_the_code_a_jobs_time_counts_from_0_at_each_level_and_it_is_put_at_the_front():
    order, begun = SkipJoinReleased(MS, quantum=1.0), job(1)

    def at(now, steps, admission):
        begun.note = order.note(begun, now, steps)
        begun.admission = admission
        return begun.note, order.rank(begun, now), order.stands(begun, now)[::2]

    def beyond(instant):
        return math.nextafter(instant, math.inf), math.inf

    assert at(5.0, 10, 0) == (Spot(0, 5.0, 0.0, 5.0, 10, 5.0), (0, 5.0), (math.inf, 990))
    assert at(6.0, 20, 1) == (Spot(0, 5.0, 0.0, 5.0, 20, 6.0), (0, -math.inf), beyond(7.0))
    assert at(7.0, 22, 1) == (Spot(0, -7.0, 1.0, 7.0, 22, 7.0), (0, -math.inf), (math.nextafter(7.0, 9.0), math.inf))
    assert at(7.5, 23, 1) == (Spot(1, -7.5, 0.0, 7.5, 23, 7.5), (1, -math.inf), beyond(9.5))
    # Five steps of a second: the third exceeds the quantum of 2 s, the other two are served at the next level.
    assert at(12.5, 28, 0) == (Spot(2, -12.5, 2.0, 12.5, 28, 12.5), (2, -12.5), (math.inf, 972))
    assert at(15.6, 999, 0) == (Spot(2, -12.5, 2.0, 12.5, 999, 15.6), (2, -12.5), (math.inf, 1))
    assert at(15.7, 1000, 0) == (Spot(0, -15.7, 0.0, 12.5, 1000, 15.7), (0, -15.7), (math.inf, 1000))
    assert at(15.7, 1000, 1)[1] == (0, -math.inf)


def test_in_the_code_nobody_is_promoted_who_has_waited_less():
    order, waiting = SkipJoinReleased(MS, patience=3.0, every=10), job(1, note=Spot(4, 1.0, 0.0, 1.0, 5, 1.0))
    assert order.note(waiting, 3.9, 10) == Spot(4, 1.0, 0.0, 1.0, 10, 3.9)
    assert order.note(waiting, 4.0, 10) == Spot(0, -4.0, 0.0, 1.0, 10, 4.0)


# Who is expected to run next, and what is swapped


def at_level(level, number, since=0.0, waited=0.0, at=1.0, **fields) -> Job:
    return job(number=number, note=Place(level, since, 0.0, waited, at), **fields)


def test_the_next_scheduled_time_is_promotion_or_what_is_ahead():
    """Quanta of 10, 20, 40 ms: two jobs are ahead of one at the fourth level, 70 and 60 ms, by two at a time."""
    jobs = [at_level(0, 0, admission=1), at_level(1, 1), last := at_level(3, 2, waited=0.1)]
    eviction = Proactive(SkipJoin(quantum=0.01, patience=0.3, prefill=MS), 0, 2)
    assert [eviction.expected(one, jobs, 1.0) for one in jobs] == pytest.approx([0.0, 0.005, 0.065])
    assert eviction.expected(last, jobs, 1.15) == pytest.approx(0.05)
    assert eviction.expected(last, jobs, 2.0) == 0.0
    code = Proactive(SkipJoinReleased(MS, quantum=0.01, patience=3.0), 0, 2)
    waits = job(1, note=Spot(3, 0.0, 0.0, ran=0.5, steps=1, at=1.0))
    assert [code.expected(waits, [*jobs, waits], now) for now in (1.0, 3.48)] == pytest.approx([0.065, 0.02])
    assert Proactive(FIFO(), 0, 2).expected(job(1), jobs, 1.0) == 0.0


def decided(eviction, jobs, free, host=math.inf) -> list[tuple[int, Keep]]:
    """Who of `jobs` is moved where, with `free` blocks of the device and so many of the host."""
    idle = [one for one in jobs if not one.runs and (one.blocks or one.host_tokens)]
    review = eviction.review(idle, jobs, Load(free, 40, 1, host, host), 1.0)
    assert review.steps == 1
    return [(one.request.id, keep) for one, keep in review.moves]


@pytest.mark.parametrize(("kind", "last"), [(Reserve, [3, 2]), (Proactive, [2, 3])])
def test_the_last_in_line_go_to_the_host_until_enough_blocks_are_free(kind, last):
    """The job of rank 3 has waited longer than that of rank 2, and is promoted sooner; one seat, which runs."""
    eviction = kind(SkipJoin(quantum=1.0, patience=2.0, prefill=MS), 4, 1)
    here = {"blocks": 3, "base_computed": 3}
    jobs = [
        at_level(0, 0, admission=1, blocks=3),
        at_level(0, 1, **here),
        at_level(3, 2, waited=0.5, **here),
        at_level(4, 3, waited=1.5, **here),
    ]
    assert decided(eviction, jobs, 4) == []
    assert decided(eviction, jobs, 3) == [(last[0], Keep.SWAP)]
    assert decided(eviction, jobs, 0) == [(one, Keep.SWAP) for one in last]
    assert decided(eviction, jobs, 0, host=5) == [(last[0], Keep.SWAP)]
    gone = [one for one in jobs if one.request.id != last[0]]
    leaving = next(one for one in jobs if one.request.id == last[0])
    idle = gone[1:]
    under_way = Load(1, 40, 1, leaving=3)  # blocks that come free in a while
    assert not eviction.review(idle, [*gone, leaving], under_way, 1.0).moves


def test_the_first_in_line_come_back_as_long_as_enough_blocks_stay_free():
    eviction = Reserve(MLFQ(), 4, 2)
    away = {"host_tokens": 3, "base_emitted": 2}
    jobs = [at_level(0, 0, admission=1, blocks=3), *(at_level(1, number, **away) for number in (1, 2, 3, 4, 5))]
    # The first two are the next batch: three blocks are for the second, which the engine fetches itself.
    assert decided(eviction, jobs, 7) == []
    assert decided(eviction, jobs, 10) == [(2, Keep.KEEP)]
    assert decided(eviction, jobs, 15) == [(2, Keep.KEEP), (3, Keep.KEEP)]
    assert decided(eviction, jobs, 40) == [(2, Keep.KEEP), (3, Keep.KEEP)]  # as many as seats at a time


def test_blocks_that_the_next_batch_needs_are_counted():
    """A newcomer of nine tokens passes the job that runs."""
    eviction = Reserve(MLFQ(), 2, 1)
    new = Job(Request(9, 0.0, 9, Truth(1)), Prediction(1.0, 1.0))
    new.note = Place(0, 0.0, 0.0, 0.0, 1.0)
    jobs = [at_level(3, 0, admission=1, blocks=3), new, at_level(2, 1, blocks=5, base_computed=5)]
    assert decided(eviction, jobs, 11) == []
    assert decided(eviction, jobs, 10) == [(1, Keep.SWAP)]


def test_the_next_batch_is_as_many_as_fit():
    """Contexts of 10 tokens, in 40 blocks of which 12 are to stay free: two of four seats, whoever runs."""
    eviction = Reserve(MLFQ(), 12, 4)
    jobs = [at_level(number, number, base_emitted=9, blocks=10, base_computed=9) for number in range(4)]
    assert decided(eviction, jobs, 5) == [(3, Keep.SWAP)]
    assert decided(eviction, jobs, 0) == [(3, Keep.SWAP), (2, Keep.SWAP)]
    assert decided(eviction, jobs, 0, host=25) == [(3, Keep.SWAP), (2, Keep.SWAP)]
