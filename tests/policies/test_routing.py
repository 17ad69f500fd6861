"""Where a job goes, on clusters made by hand."""

import math
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.predictor.oracle import OraclePredictor
from policies.reward.deadlines import Deadlines
from policies.routing.any_model import AnyModel
from policies.routing.by_deadline import ByDeadline
from policies.routing.by_rate import ByRate
from policies.routing.disaggregation import Disaggregation
from policies.routing.least_loaded import LeastLoaded
from policies.routing.of_model import OfModel
from policies.routing.offload import Offload
from policies.routing.power_of_two import PowerOfTwo
from policies.routing.prefix_affinity import PrefixAffinity
from policies.routing.round_robin import RoundRobin
from policies.routing.threshold import Threshold
from sim import Cause, Cluster, Keep, Leg, Link, Load, Prediction, Record, Request, Truth, simulate
from sim.job import Job
from tests.conftest import make_device, make_policy, make_requests


def job(uncertainty=1.0, number=0, task=None, length=1.0):
    return Job(Request(number, 0.0, 4, Truth(2), task=task), Prediction(length=length, uncertainty=uncertainty))


@dataclass(frozen=True)
class View:
    """A replica that has so many jobs."""

    kind: str
    jobs: int = 0
    submitted: int = 0
    cached: int = 0
    free_blocks: int = 10
    model: str = ""
    within: int = 0

    @property
    def name(self):
        return self.kind

    def cached_tokens(self, job):
        return self.cached

    def submitted_within(self, seconds):
        return round(self.within * seconds)


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


def served(small=0, medium=0, *large, within=0):
    """Replicas of three models with so many jobs: one of small, one of medium, the others of large."""
    jobs = [("small", small), ("medium", medium), *(("large", one) for one in large)]
    return tuple(View("gpu", count, model=model, within=within) for model, count in jobs)


BEST_FIRST = ("large", "medium", "small")


def test_static_serving_is_the_least_loaded_of_one_model():
    assert OfModel("large").route(job(), served(0, 0, 5, 4, 4)) == (Leg(3),)
    assert OfModel("small").route(job(), served(9, 0, 0)) == (Leg(0),)


def test_of_any_model_the_one_with_the_fewest_jobs_for_what_it_serves():
    assert AnyModel().route(job(), served(3, 2, 2, 4)) == (Leg(1),)
    assert AnyModel({"small": 8.0, "medium": 2.0}).route(job(), served(0, 0, 0)) == (Leg(0),)
    assert AnyModel({"small": 8.0, "medium": 2.0}).route(job(), served(7, 1, 1)) == (Leg(0),)  # 1 each: the first
    assert AnyModel({"small": 8.0, "medium": 2.0}).route(job(), served(8, 1, 1)) == (Leg(1),)
    assert AnyModel({"small": 8.0, "medium": 2.0}).route(job(), served(8, 2, 0)) == (Leg(2),)


@pytest.mark.parametrize(
    ("jobs", "replica"),
    [
        ((0, 0, 3, 4), 2),  # 3.5 on average
        ((0, 0, 4, 4), 1),  # as many as the limit: too busy
        ((0, 1, 0, 8), 1),
        ((0, 2, 5, 3), 0),
        ((99, 2, 4, 4), 0),  # the last takes the rest
    ],
)
def test_the_best_model_whose_replicas_are_not_too_busy(jobs, replica):
    assert Threshold(BEST_FIRST, (4, 2)).route(job(), served(*jobs)) == (Leg(replica),)


def test_a_task_may_have_limits_of_its_own():
    routing = Threshold(BEST_FIRST, (4, 2), {"easy": (1, 0)})
    assert routing.route(job(task="hard"), served(0, 0, 3)) == (Leg(2),)
    assert routing.route(job(task="easy"), served(0, 0, 3)) == (Leg(0),)
    assert routing.route(job(task="easy"), served(0, 0, 0)) == (Leg(2),)


@pytest.mark.parametrize(("rate", "replica"), [(0, 3), (3, 3), (4, 1), (9, 1), (10, 0)])
def test_the_model_of_the_band_in_which_the_rate_lies(rate, replica):
    cluster = served(9, 9, 9, 8, within=rate)  # each of the four replicas was sent so many a second
    for seconds in (1.0, 2.0):
        assert ByRate(BEST_FIRST, (16.0, 40.0), seconds).route(job(), cluster) == (Leg(replica),)


@pytest.mark.parametrize(
    ("routing", "says"),
    [
        (lambda: AnyModel({"small": 0.0}), "speeds must be above 0, got {'small': 0.0}"),
        (lambda: Threshold(BEST_FIRST, (4,)), r"limits of all models but the last, none negative: \(4,\)"),
        (lambda: Threshold(BEST_FIRST, (4, math.nan)), "limits of all models but the last"),
        (lambda: Threshold(BEST_FIRST, (4, 2), {"easy": (-1, 2)}), r"none negative: \(-1, 2\)"),
        (lambda: ByRate(BEST_FIRST, (4,)), r"rates of all models but the last, in ascending order: \(4,\)"),
        (lambda: ByRate(BEST_FIRST, (4, 3)), r"ascending order: \(4, 3\)"),
        (lambda: ByRate(BEST_FIRST, (3, 4), 0.0), "seconds must be above 0, got 0.0"),
    ],
)
def test_what_a_routing_by_model_does_not_take(routing, says):
    with pytest.raises(ValueError, match=says):
        routing()


@pytest.mark.parametrize(
    "routing", [OfModel("huge"), Threshold(("huge", "small"), (2,)), ByRate(("huge", "small"), (9,))]
)
def test_a_model_that_nobody_serves_is_named(routing):
    with pytest.raises(ValueError, match="no device serves 'huge' in the cluster, which has \\['small', 'medium'"):
        routing.route(job(), served())


QUALITY = {"hard": {"small": 0.3, "medium": 0.5, "large": 0.7}, "easy": {"small": 0.6, "medium": 0.7, "large": 0.8}}
STEPS = {"small": (0.01, 0.0), "medium": (0.02, 0.005), "large": (0.04, 0.01)}
FOUR = {"answer": 8.0, "seats": 4}


def greedy(jobs, task="hard", hard=1.0, soft=None, margin=1.0, seats=99):
    routing = ByDeadline(Deadlines(QUALITY, hard, soft), STEPS, answer=8.0, seats=seats, margin=margin)
    return routing.route(job(task=task, length=10.0), served(*jobs))[0].replica


@pytest.mark.parametrize(
    ("jobs", "replica"),
    [
        ((0, 0, 8, 5), 3),  # the fewest jobs of the large one: 10 * (0.04 + 0.06) = 1.0 s
        ((0, 0, 6, 6), 1),  # 1.1 s there, 0.25 s with the medium one
        ((0, 15, 6, 6), 1),  # 10 * (0.02 + 0.005 * 16) = 1.0 s: just in time
        ((0, 16, 6, 6), 0),
    ],
)
def test_the_best_model_that_is_predicted_to_be_in_time(jobs, replica):
    assert greedy(jobs) == replica


def test_who_finds_no_seat_waits_for_those_before_it():
    assert ByDeadline(Deadlines(QUALITY, 1.0), STEPS, **FOUR).seconds("large", 4, 10.0) == pytest.approx(0.8)
    late = ByDeadline(Deadlines(QUALITY, 1.0), STEPS, **FOUR).seconds("large", 6, 10.0)
    assert late == pytest.approx(0.8 + 0.08 * 8 * 2 / 4)  # two of four seats' answers come first
    assert [greedy((0, 0, jobs), seats=4) for jobs in (4, 5)] == [2, 1]  # 0.96 and 1.12 s


def test_where_none_is_in_time_the_soonest():
    assert greedy((0, 3, 1, 0), hard=0.05) == 0  # 0.1 s
    slow = ByDeadline(Deadlines(QUALITY, 0.05), STEPS | {"small": (9.0, 0.0)}, **FOUR)
    assert slow.route(job(task="hard", length=10.0), served(0, 3, 1, 2))[0].replica == 1  # 0.4, 0.6 and 90 s


def test_a_margin_leaves_room():
    assert [greedy((0, 0, 4), margin=margin) for margin in (1.0, 1.1, 1.12)] == [2, 2, 1]  # of 0.9 s


def test_a_soft_deadline_weighs_what_is_left_of_each_models_quality():
    assert greedy((0, 0, 6), soft=2.0) == 2  # 1.1 s: 0.9 of 0.7 are more than 0.5
    assert greedy((0, 0, 6), "easy", soft=2.0) == 2  # 0.9 of 0.8 are more than 0.7
    assert greedy((0, 0, 8), "easy", soft=2.0) == 1  # 1.3 s: 0.7 of 0.8 are less
    assert greedy((0, 0, 7), "hard", soft=2.0) == 2  # 1.2 s: 0.8 of 0.7 are more than 0.5


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"reward": None}, "reward is null: reward=best_effort"),
        ({"margin": 0}, "margin must be above 0, got 0"),
        ({"seats": 0}, "seats must be above 0, got 0"),
        ({"answer": math.nan}, "answer must be above 0, got nan"),
    ],
)
def test_greedy_says_what_it_lacks(given, says):
    with pytest.raises(ValueError, match=says):
        ByDeadline(**{"reward": Deadlines(QUALITY, 1.0), "steps": STEPS, **FOUR, **given})


def test_greedy_names_a_model_of_which_nothing_is_known():
    with pytest.raises(LookupError, match=r"steps are those of \['small'\]: nothing is known of 'medium'"):
        ByDeadline(Deadlines(QUALITY, 1.0), {"small": (1, 1)}, **FOUR).route(job(task="easy"), served())
