"""Where a job goes, on clusters made by hand."""

import math
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from policies.routing.least_loaded import LeastLoaded
from policies.routing.offload import Offload
from policies.routing.power_of_two import PowerOfTwo
from policies.routing.prefix_affinity import PrefixAffinity
from policies.routing.round_robin import RoundRobin
from sim import Cause, Cluster, Keep, Leg, Link, Load, Prediction, Record, Request, Truth, simulate
from sim.job import Job
from tests.conftest import make_device, make_policy, make_requests


def job(uncertainty=1.0, number=0):
    return Job(Request(number, 0.0, 4, Truth(2)), Prediction(length=1.0, uncertainty=uncertainty))


@dataclass(frozen=True)
class View:
    """A replica that has so many jobs."""

    kind: str
    jobs: int = 0
    submitted: int = 0
    cached: int = 0
    free_blocks: int = 10

    @property
    def name(self):
        return self.kind

    def cached_tokens(self, job):
        return self.cached


CLUSTER = (View("cpu"), View("gpu", 5), View("gpu", 4), View("gpu", 4), View("cpu", 1))


def test_least_loaded_counts_the_jobs_of_its_kind():
    assert LeastLoaded().route(job(), CLUSTER) == (Leg(2),)  # four jobs, the first of the two replicas that have four
    assert LeastLoaded("cpu").route(job(), CLUSTER) == (Leg(0),)


@pytest.mark.parametrize(("uncertainty", "replica"), [(9.9, 2), (10.0, 2), (10.1, 0)])
def test_offload_sends_what_is_above_the_threshold_to_the_cpu(uncertainty, replica):
    assert Offload(threshold=10.0).route(job(uncertainty), CLUSTER) == (Leg(replica),)


def test_disaggregation_is_two_legs_each_on_the_least_loaded_of_its_kind():
    cluster = (View("decode", 1), View("prefill", 2), View("prefill", 1), View("decode"))
    assert Disaggregation().route(job(), cluster) == (Leg(2, prefill_only=True), Leg(3))


def test_round_robin_goes_by_what_was_sent_and_not_by_what_is_left():
    cluster = (View("cpu"), View("gpu", 0, 3), View("gpu", 9, 2), View("gpu", 0, 2))
    assert RoundRobin().route(job(), cluster) == (Leg(2),)
    assert RoundRobin("cpu").route(job(), cluster) == (Leg(0),)


def test_round_robin_is_each_in_turn():
    device, link = make_device(), Link(0.0, 1e9)
    cluster = Cluster(tuple(replace(device, name=name) for name in "abc"), link)
    requests = make_requests([0.0] * 7, [4] * 7, [9, 1, 9, 1, 9, 1, 9])
    table = simulate(requests, make_policy(routing=RoundRobin()), cluster, OraclePredictor()).requests
    assert table["replica"].tolist() == list("abcabca")


def test_of_two_replicas_drawn_the_one_with_fewer_jobs_is_chosen():
    cluster = (View("cpu"), View("gpu", 7), View("gpu", 5), View("gpu", 3))
    chosen = Counter(PowerOfTwo(1).route(job(number=number), cluster)[0].replica for number in range(3000))
    assert set(chosen) == {2, 3}  # the most loaded always loses
    assert chosen[3] == pytest.approx(2000, abs=100)  # two pairs of three hold the least loaded


def test_the_two_drawn_depend_on_the_seed_and_the_request_and_on_nothing_else():
    cluster = tuple(View("gpu", jobs) for jobs in range(9, 0, -1))

    def chosen(seed):
        return [PowerOfTwo(seed).route(job(number=number), cluster) for number in range(50)]

    assert chosen(1) == chosen(1) != chosen(2)


def test_one_replica_of_the_kind_needs_no_draw():
    assert PowerOfTwo(1, "cpu").route(job(), (View("gpu"), View("cpu", 9))) == (Leg(1),)


@pytest.mark.parametrize(
    ("cached", "jobs", "replica"),
    [
        ((0, 32, 16), (0, 2, 0), 1),  # the most of the prompt
        ((0, 32, 16), (0, 3, 0), 2),  # more than two above the least loaded: passed over
        ((0, 0, 0), (1, 0, 0), 1),  # nothing is cached: the least loaded, the first of equals
        ((16, 16, 16), (2, 1, 1), 1),
        ((64, 0, 0), (9, 9, 9), 0),
    ],
)
def test_a_request_goes_where_its_prefix_is_unless_that_replica_is_much_busier(cached, jobs, replica):
    cluster = tuple(View("gpu", count, cached=tokens) for tokens, count in zip(cached, jobs, strict=True))
    assert PrefixAffinity(imbalance=2).route(job(), cluster) == (Leg(replica),)


def test_prefix_affinity_serves_a_dialogue_where_it_began():
    devices = tuple(make_device(name, prefix_caching=True) for name in "ab")
    turns = [(0.0, 0, 64), (0.1, 1, 64), (5.0, 1, 96), (5.1, 0, 96), (9.0, 0, 128)]
    requests = [
        Request(number, arrival, tokens, Truth(1), prompt_ids=tuple(range(1000 * dialogue, 1000 * dialogue + tokens)))
        for number, (arrival, dialogue, tokens) in enumerate(turns)
    ]
    policy = make_policy(routing=PrefixAffinity())
    tables = simulate(requests, policy, Cluster(devices), OraclePredictor(), record=Record.DECISIONS)
    where = tables.requests["replica"].tolist()
    assert where[3] == where[4] == where[0]
    assert where[2] == where[1]
    computed = [tokens for decision in tables.decisions for _, tokens in decision.granted]
    assert computed == [64, 64, 32, 32, 32]


@pytest.mark.parametrize(
    "routing",
    [
        LeastLoaded("tpu"),
        Disaggregation("gpu", "tpu"),
        RoundRobin("tpu"),
        PowerOfTwo(1, "tpu"),
        PrefixAffinity(1, "tpu"),
    ],
)
def test_a_kind_that_the_cluster_lacks_is_named(routing):
    with pytest.raises(ValueError, match="no device of kind 'tpu' in the cluster, which has \\['cpu', 'gpu'"):
        routing.route(job(), CLUSTER)


def test_an_imbalance_is_not_negative():
    with pytest.raises(ValueError, match="imbalance must not be negative, got -1"):
        PrefixAffinity(-1)


@pytest.mark.parametrize("threshold", [-1.0, math.nan])
def test_a_threshold_is_not_negative(threshold):
    with pytest.raises(ValueError, match=f"threshold must not be negative, got {threshold}"):
        Offload(threshold)


def test_recompute_drops_and_swap_swaps():
    for cause in Cause:
        assert Recompute().on_stop(job(), cause, Load(0, 9, 1), 0.0) is Keep.DROP
        assert Swap().on_stop(job(), cause, Load(0, 9, 1), 0.0) is Keep.SWAP


def test_what_is_kept_is_dropped_under_pressure():
    assert Resident().on_stop(job(), Cause.OUTRANKED, Load(0, 9, 1), 0.0) is Keep.KEEP
    assert Resident().on_stop(job(), Cause.PRESSURE, Load(9, 9, 1), 0.0) is Keep.DROP
