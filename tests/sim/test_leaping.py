"""Leaping over steps in which nothing changes gives the very tables that planning each step gives."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Leg, Link, Record, Request, Truth
from tests.cases import THREE, Case, Spying, cases, examples, on_several, plain, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

often = settings(stable, max_examples=examples(400))


def assert_leap_equals_step(case: Case, horizon=None):
    leaped, stepped = case.run(horizon=horizon), case.run(horizon=horizon, leap=False)
    for kind in ("requests", "steps"):
        one, other = getattr(leaped, kind), getattr(stepped, kind)
        for name in one:
            assert repr(one[name].tolist()) == repr(other[name].tolist()), (kind, name)
    assert leaped.decisions == stepped.decisions
    assert plain(leaped) == plain(case.run(horizon=horizon, leap=False, walk=False))
    assert plain(leaped) == plain(stepped)
    bare = case.run(Record.REQUESTS, horizon=horizon)
    assert plain(bare) == plain(dataclasses.replace(leaped, steps=bare.steps, decisions=()))


@often
@given(cases())
def test_leap_equals_step_on_one_replica(case):
    assert_leap_equals_step(case)


@often
@given(on_several())
def test_leap_equals_step_on_several_replicas(case):
    assert_leap_equals_step(case)


@often
@given(cases(routings=(Spying(),)) | cases(routings=(Spying(),), names=THREE))
def test_a_routing_sees_the_same_in_the_middle_of_a_leap(case):
    seen = []
    for leap in (True, False):
        routing = Spying()
        dataclasses.replace(case, policy=dataclasses.replace(case.policy, routing=routing)).run(leap=leap)
        seen.append(routing.seen)
    assert seen[0] == seen[1]


def test_a_prefill_and_a_decode_that_fill_equal_blocks_in_one_step_fill_them_in_the_order_of_admission():
    """A prompt of equal tokens goes a token a step beside an answer of the same; who comes later finds the prompt's."""
    lengths = [(0, 0.0, 8, 1), (1, 0.0, 1, 24), (2, 10.5, 9, 3)]
    requests = [
        Request(number, arrival, prompt, Truth(output, (7,) * output), max_tokens=24, prompt_ids=(7,) * prompt)
        for number, arrival, prompt, output in lengths
    ]
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=4, prefix_caching=True)
    policy = make_policy(batching=Continuous(max_num_batched_tokens=8, long_prefill_token_threshold=1))
    assert_leap_equals_step(Case(requests, policy, Cluster((device,)), OraclePredictor()))


@pytest.mark.parametrize("arrival", [1.25, 3.25, 6.25])
def test_a_job_enters_in_the_step_in_which_another_ones_answer_fills_the_block_that_it_lacked(arrival):
    """It needs six blocks of six; the first one's answer fills those that its prompt has, and takes as many.

    While a block is half full the newcomer lacks one; in the step that fills it, it is found.
    """
    requests = [
        Request(0, 0.0, 4, Truth(17, (7,) * 17), prompt_ids=(7,) * 4),
        Request(1, arrival, 21, Truth(1, (7,)), prompt_ids=(7,) * 21),
    ]
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=4, kv_tokens=24, prefix_caching=True)
    case = Case(requests, make_policy(), Cluster((device,)), OraclePredictor())
    assert_leap_equals_step(case)
    assert case.run().requests["first_scheduled"][1] == 4.0 * math.ceil(arrival / 4)


class Apart:
    """The first request on the first replica, the second on both."""

    def route(self, job, cluster):
        return (Leg(0, prefill_only=True), Leg(1)) if job.request.id else (Leg(0),)


def test_a_replica_decodes_on_while_a_job_waits_there_that_will_go_on_elsewhere():
    devices = tuple(make_device(name, profile=LinearProfile(1.0, 0.0)) for name in "ab")
    policy = make_policy(routing=Apart(), batching=Continuous(max_num_seqs=1))
    case = Case(make_requests([0, 1.5], [1, 4], [9, 3]), policy, Cluster(devices, Link(0.25, 1e12)), OraclePredictor())
    assert_leap_equals_step(case)
    assert case.run().requests["finished"].tolist() == pytest.approx([9.0, 12.25])


@stable
@given(cases() | on_several(), st.sampled_from([0.0625, 0.125, 0.3, 1.1]))
def test_leap_equals_step_up_to_a_horizon(case, horizon):
    assert_leap_equals_step(case, horizon)


def test_the_rows_of_more_plans_than_are_told_apart_at_a_time_are_those_of_their_steps():
    """Two replicas, in memory that runs short, and some steps of leaps of many: in every chunk, and between them."""
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(rng.exponential(0.4, 900))
    requests = make_requests(arrivals, rng.integers(1, 60, 900), rng.integers(1, 90, 900))
    devices = (
        make_device(
            "long name", profile=LinearProfile(0.01, 1e-4, 1e-6), block_size=4, kv_tokens=400, max_model_len=200
        ),
        make_device("b", profile=LinearProfile(0.02, 1e-4, 1e-6), block_size=7, kv_tokens=700, max_model_len=200),
    )
    case = Case(requests, make_policy(), Cluster(devices), OraclePredictor())
    leaped, stepped = case.run(Record.STEPS), case.run(Record.STEPS, leap=False)
    assert len(leaped.steps["end"]) > 5000
    assert plain(leaped) == plain(stepped)
    assert (leaped.steps["seconds"] > 0).all()
    for name in ("long name", "b"):
        ends = leaped.steps["end"][leaped.steps["replica"] == name]
        assert (np.diff(ends) > 0).all()
