"""Jobs that stop for others: who stops, what becomes of their KV, and what theory says of it."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings

from experiments.engine.theory import Row, compared, one_run
from policies.batching.continuous import Continuous
from policies.batching.limited import Limited
from policies.batching.preemptive import Preemptive
from policies.batching.trail import Trail
from policies.eviction.keep import Resident
from policies.eviction.keep_then_swap import KeepThenSwap
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.least_attained import LeastAttained
from policies.order.perception import Perception
from policies.order.srpt import SRPT
from policies.predictor.calls import CallClasses
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, Eviction, HostMemory, IterationLevel, Keep, Link, Order, Overhead, Record, Short, simulate
from sim.policy import NotingOrder
from tests.cases import Case, cases, examples, on_several, plain, preemptive, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_leaping import assert_leap_equals_step


@settings(stable, max_examples=examples(400))
@given(cases(preemptive) | on_several(preemptive))
def test_leap_equals_step_where_jobs_stop_for_one_another(case):
    assert_leap_equals_step(case)


@stable
@given(cases(preemptive))
def test_a_batching_that_names_nobody_is_continuous_batching(case):
    assume(not isinstance(case.policy.order, NotingOrder))  # it is asked for notes of those that run by the one alone

    class Nobody(Preemptive):
        def victim(self, incoming, running, lacks, now):
            return None

    tables = []
    for kind in (Nobody, Continuous):
        batching = kind(**{name: getattr(case.policy.batching, name) for name in Continuous.__match_args__})
        policy = make_policy(order=case.policy.order, eviction=case.policy.eviction, batching=batching)
        tables.append(plain(simulate(case.requests, policy, case.cluster, case.predictor, record=Record.DECISIONS)))
    assert tables[0] == tables[1]


def serve(requests, device=None, **parts):
    device = device or make_device(profile=LinearProfile(1.0, 0.0), block_size=1)
    parts = {"order": SRPT(), "batching": Preemptive(max_num_seqs=1), "eviction": Resident(), **parts}
    policy = make_policy(**parts)
    return simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)


def granted(tables) -> list[dict[int, int]]:
    return [dict(decision.granted) for decision in tables.decisions]


LONG_AND_SHORT = ([0, 2.5], [4, 3], [6, 2])


@pytest.mark.parametrize(
    ("eviction", "again"), [(Resident(), {0: 1}), (Recompute(), {0: 7}), (Swap(), {0: 1})], ids=lambda one: repr(one)
)
def test_a_short_job_takes_the_place_of_a_long_one_which_goes_on_behind_it(eviction, again):
    tables = serve(make_requests(*LONG_AND_SHORT), eviction=eviction)
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {1: 3}, {1: 1}, again, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [1, 0]
    assert tables.requests["finished"].tolist() == [8.0, 5.0]
    assert [decision.preempted for decision in tables.decisions][3] == (0,)
    kept = isinstance(eviction, Resident)
    assert tables.steps["blocks_used"].tolist()[3] == 3 + 7 * kept  # its six, and the one of the token it did not get
    assert bool(tables.steps["moved_tokens"].any()) is isinstance(eviction, Swap)


def test_kept_kv_gives_way_to_a_job_that_ranks_before_it():
    """The first stops for the second, whose nine tokens find no room beside the seven kept."""
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=12, max_model_len=12)
    tables = serve(make_requests([0, 2.5], [4, 8], [6, 2]), device)
    assert granted(tables) == [{0: 4}, {0: 1}, {0: 1}, {1: 8}, {1: 1}, {0: 7}, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [1, 0]


def test_kept_kv_gives_way_to_jobs_that_run_as_they_grow():
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=13, max_model_len=14)
    tables = serve(make_requests([0, 1.5], [4, 2], [10, 7]), device)
    assert granted(tables)[2:12] == [{1: 2}, *[{1: 1}] * 6, {0: 6}, {0: 1}, {0: 1}]


def test_a_victim_gives_tokens_back():
    batching = Preemptive(max_num_seqs=2, max_num_batched_tokens=4)
    tables = serve(make_requests([0, 0.5], [9, 3], [9, 2]), batching=batching)
    assert granted(tables)[:3] == [{0: 4}, {1: 3}, {1: 1, 0: 3}]


def test_who_lacks_but_tokens_may_have_to_wait_for_them():
    """The second, which is shorter, enters when the prompt of the first leaves it tokens of a step."""
    batching = Preemptive(max_num_seqs=2, max_num_batched_tokens=4, for_tokens=False)
    tables = serve(make_requests([0, 0.5], [9, 3], [9, 2]), batching=batching)
    assert granted(tables)[:4] == [{0: 4}, {0: 4}, {0: 1, 1: 3}, {0: 1, 1: 1}]
    assert not tables.requests["preemptions"].any()
    alone = Preemptive(max_num_seqs=1, for_tokens=False)
    assert serve(make_requests([0, 0.5], [9, 3], [9, 2]), batching=alone).requests["preemptions"].tolist() == [1, 0]


class Names(Preemptive):
    def victim(self, incoming, running, lacks, now):
        return incoming


class Numbers(Preemptive):
    def victim(self, incoming, running, lacks, now):
        return next((job.request.id for job in running), None)


class Greedy(Preemptive):
    """Names those that were admitted in this very step too, by keeping what it is shown."""

    def select(self, waiting, running, now):
        SHOWN[:] = [running]
        return waiting

    def victim(self, incoming, running, lacks, now):
        assert lacks is Short.SEATS
        return next(iter(SHOWN[0]))


SHOWN: list[object] = []


@pytest.mark.parametrize(
    ("batching", "message"),
    [
        (Names(max_num_seqs=1), r"Names.victim names Job\(id=1, .*\) at 0.0 s, which does not run"),
        (Numbers(max_num_seqs=1), "Numbers.victim names 0 at 1.0 s, which does not run"),
        (Greedy(max_num_seqs=1), r"Greedy.victim names Job\(id=0, .*\) at 0.0 s, which was admitted in this very step"),
    ],
)
def test_a_victim_that_cannot_stop_is_named(batching, message):
    with pytest.raises(RuntimeError, match=message):
        serve(make_requests([0, 0], [4, 3], [6, 9]), batching=batching)


class Stubborn(Eviction):
    def on_stop(self, job, cause, load, now):
        return Keep.KEEP


def test_what_is_kept_under_pressure_is_refused():
    device = make_device(profile=LinearProfile(1.0, 0.0), block_size=1, kv_tokens=12, max_model_len=12)
    with pytest.raises(RuntimeError, match=r"Stubborn.on_stop keeps Job\(id=0, .*\) at 3.0 s under pressure"):
        serve(make_requests([0, 2.5], [4, 8], [6, 2]), device, eviction=Stubborn())


class Speaks(Eviction):
    def on_stop(self, job, cause, load, now):
        return "keep"


def test_an_eviction_that_says_something_else_is_refused():
    with pytest.raises(RuntimeError, match=r"Speaks.on_stop says 'keep' of Job\(id=0, .*\) at 3.0 s: no sim.Keep"):
        serve(make_requests([0, 2.5], [4, 8], [6, 2]), eviction=Speaks())


def test_victims_are_for_mixed_phases():
    with pytest.raises(ValueError, match="Preemptive names victims: phases must be mixed, got decode_first"):
        serve(make_requests([0], [1], [1]), batching=Preemptive(phases="decode_first"))


def test_limited_preemption_spares_who_is_nearly_done():
    """Two tokens of ten are emitted when the second comes."""
    requests = make_requests([0, 1.5], [1, 1], [10, 2])
    assert serve(requests, batching=Limited(max_num_seqs=1, share=0.21)).requests["preemptions"].tolist() == [1, 0]
    assert serve(requests, batching=Limited(max_num_seqs=1, share=0.2)).requests["preemptions"].tolist() == [0, 0]


def test_limited_preemption_stops_the_last_of_those_that_it_does_not_spare():
    """Left are 7 of 20, which is spared, 5 and 4 tokens: one of 3 takes the place of the one with 5."""
    requests = make_requests([0, 10.5, 10.5, 13.5], [1] * 4, [21, 8, 7, 3])
    batching = Limited(max_num_seqs=3, share=0.5)
    assert serve(requests, batching=batching).requests["preemptions"].tolist() == [0, 1, 0, 0]
    assert serve(requests, batching=Preemptive(3)).requests["preemptions"].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("margin", "stops"), [(0.0, 1), (2.9, 1), (3.0, 0)])
def test_trail_stops_whom_more_than_the_margin_is_left(margin, stops):
    """Five tokens are left when one of two comes."""
    requests = make_requests([0, 4.5], [1, 1], [10, 2])
    batching = Trail(max_num_seqs=1, share=1.0, margin=margin)
    assert serve(requests, batching=batching).requests["preemptions"].tolist() == [stops, 0]


@pytest.mark.parametrize(("most", "stops"), [(0, 0), (1, 1), (None, 2)])
def test_trail_stops_nobody_too_often(most, stops):
    requests = make_requests([0, 1.5, 4.5], [1, 1, 1], [20, 1, 1])
    batching = Trail(max_num_seqs=1, share=1.0, most=most)
    assert serve(requests, batching=batching).requests["preemptions"].tolist() == [stops, 0, 0]


def test_trail_stops_nobody_for_the_tokens_of_a_step():
    """A prompt of four takes all tokens of a step; the next lacks them, and there is a seat."""
    requests = make_requests([0, 1.5, 1.5], [1, 4, 4], [20, 2, 3])
    settings = {"max_num_seqs": 3, "max_num_batched_tokens": 5}
    assert serve(requests, batching=Trail(share=1.0, **settings)).requests["preemptions"].tolist() == [0, 0, 0]
    assert serve(requests, batching=Preemptive(**settings)).requests["preemptions"].tolist() == [1, 0, 0]


@dataclass(frozen=True)
class Several(Preemptive):
    """Looks at several jobs at a time, and passes over those that do not fit."""

    def __post_init__(self):
        object.__setattr__(self, "execution", IterationLevel(max_num_seqs=2, window=3, skip_unfit=True))


def test_several_may_come_in_the_place_of_several():
    arrivals, prompts, outputs = [0.0315, 0.0432, 0.1112, 0.1156, 0.121], [13, 7, 5, 4, 12], [13, 4, 12, 13, 3]
    device = make_device(profile=LinearProfile(0.01, 1e-3), block_size=1, kv_tokens=30, max_model_len=30)
    tables = serve(make_requests(arrivals, prompts, outputs), device, batching=Several())
    assert tables.requests["preemptions"].sum() > 1
    assert sorted(tables.requests["id"].tolist()) == [0, 1, 2, 3, 4]


def test_who_has_left_for_another_replica_is_forgotten():
    """Both replicas give it the same number of admission; where it is no more it is not ranked either."""
    kinds = ("prefill", "decode", "decode")
    devices = tuple(
        make_device(f"{kind}{number}", kind, kv_tokens=256, max_model_len=128, profile=LinearProfile(0.0625, 0.0))
        for number, kind in enumerate(kinds)
    )
    requests = make_requests([0.004, 0.604], [30, 26], [17, 1], max_tokens=24)
    parts = {"batching": Preemptive(), "routing": Disaggregation(), "overhead": Overhead(0.0, 0.001)}
    policy, cluster = make_policy(order=LeastAttained(5), **parts), Cluster(devices, Link(0.0625, math.inf))
    assert_leap_equals_step(Case(requests, policy, cluster, OraclePredictor()))


# Theory: one server, jobs known by their size


@pytest.mark.long
@pytest.mark.parametrize("law", ["Exp", "Uniform", "H2"])
@pytest.mark.parametrize("policy", ["PSJF", "SRPT"])
def test_the_mean_response_under_preemption_is_that_of_theory(law, policy):
    row = Row(law, 0.8, policy)
    found = compared(row, [one_run(row, seed, 1500) for seed in range(16)])
    assert found.verdict == "agrees"
    assert found.standard_error < 0.03 * row.exact
    assert abs(found.simulated - Row(law, 0.8, "FCFS").exact) > 4 * found.standard_error


def test_psjf_and_srpt_are_told_apart():
    row = Row("Uniform", 0.8, "SRPT")
    found = compared(row, [one_run(row, seed, 1500) for seed in range(16)])
    assert abs(found.simulated - Row("Uniform", 0.8, "PSJF").exact) > 4 * found.standard_error


def test_jobs_that_take_each_others_place_for_ever_are_found_out(monkeypatch):
    """Each is promoted before the other's prefill is over, of which nothing is kept."""
    monkeypatch.setattr("sim.engine.parked.FRUITLESS", 20)
    batching = Preemptive(max_num_seqs=1, max_num_batched_tokens=1)
    with pytest.raises(RuntimeError, match="KV moved 20 times in a row and no prefill ended, by Turns and Recompute: "):
        serve(make_requests([0, 0], [9, 9], [1, 1]), order=Turns(), batching=batching, eviction=Recompute())


class Turns(Order):
    """A second each."""

    def rank(self, job, now):
        return (now + job.request.id) // 1.0 % 2


@pytest.mark.parametrize(
    ("ahead", "granted", "finished"),
    [(0, "AABCBCABCABCABCABC", [16.0, 17.0, 18.0]), (1, "AAABBCCCBBAACCBBAACC", [17.0, 16.0, 19.0])],
)
def test_who_stops_with_a_token_on_its_way_is_ranked_anew_when_it_has_come(ahead, granted, finished):
    """Least attained first, one seat, a second a step: who waits is ranked by all that it has emitted."""
    batching = Preemptive(max_num_seqs=1, plans_ahead=ahead)
    policy = make_policy(order=LeastAttained(1), batching=batching, eviction=Resident())
    cluster = Cluster((make_device(profile=LinearProfile(1.0, 0.0)),))
    requests = make_requests([0.0, 1.5, 1.6], [4, 4, 4], [6, 6, 6])
    tables = simulate(requests, policy, cluster, OraclePredictor(), record=Record.DECISIONS)
    assert "".join("ABC"[one.granted[0][0]] for one in tables.decisions if one.granted) == granted
    assert tables.requests["finished"].tolist() == finished


@pytest.mark.parametrize(
    ("eviction", "longest"), [(Resident(), 4.0), (Recompute(), 4.0)], ids=lambda value: type(value).__name__
)
def test_the_longest_stop_is_until_the_next_token(eviction, longest):
    """It is stopped with three tokens; another needs three steps, and the fourth gives it its next one."""
    table = serve(make_requests([0, 2.5], [4, 3], [9, 3]), eviction=eviction).requests
    assert table["preemptions"].tolist() == [1, 0]
    assert table["longest_stop"].tolist() == [longest, 0.0]


def test_who_stops_before_its_first_token_waits_for_that():
    batching = Preemptive(max_num_seqs=1, max_num_batched_tokens=2)
    table = serve(make_requests([0, 1.5], [8, 2], [9, 1]), batching=batching).requests
    assert table["preemptions"].tolist() == [1, 0]
    assert table["longest_stop"].tolist() == [0.0, 0.0]


def test_a_victim_is_looked_for_as_copies_come_to_an_end_and_those_who_run_take_what_is_free():
    """A case in which leaping and stepping differed: blocks that were about to come free sufficed no longer."""
    lives = [(0.654, 24, 10), (0.654, 1, 9), (0.654, 1, 7), (0.704, 15, 7), (0.754, 17, 1)]
    requests = make_requests(*zip(*lives, strict=True), max_tokens=24)
    host = HostMemory(40, Link(0.2, 1e5), "overlapped")
    changes = {"kv_tokens": 192, "max_model_len": 128, "kv_bytes_per_token": 100, "host": host}
    cluster = Cluster((make_device(profile=LinearProfile(0.01, 1e-3), **changes),))
    batching = Preemptive(max_num_seqs=6, max_num_batched_tokens=115, chunked_prefill=False, watermark=0.4)
    policy = make_policy(order=Perception(3), batching=batching, eviction=KeepThenSwap())
    predictor = CallClasses(5, 7.0, {}, (0.3, 4.0), 0.0137)
    leaped, stepped = (simulate(requests, policy, cluster, predictor, leap=leap) for leap in (True, False))
    assert plain(leaped) == plain(stepped)
