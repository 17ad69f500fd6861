"""Service by rank: who is served when tokens, seats and blocks are short."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.eviction.keep_then_swap import KeepThenSwap
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.fifo import FIFO
from policies.order.ltr import LTR
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, HostMemory, Link, Order, Overhead, Record, simulate
from tests.cases import LINEAR, Ageing, Case, cases, examples, on_several, plain, ranked, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_exchange import Turns
from tests.sim.test_leaping import assert_leap_equals_step


@dataclass(frozen=True)
class Passing(Continuous):
    """Whoever of the first four does not fit is passed over."""

    def __post_init__(self):
        Continuous.__post_init__(self)
        object.__setattr__(self, "execution", replace(self.execution, skip_unfit=True, window=4))


@pytest.mark.parametrize("order", [SJF(ServiceTime(0.25, 2.0)), SRPT(), LTR(), LTR(9), Ageing(1.0)], ids=repr)
def test_who_was_shown_and_has_to_give_its_blocks_meanwhile_is_passed_over(order):
    """The copy to the host takes its time, and whoever is under way does not wait."""
    host = HostMemory(200, Link(0.0625, math.inf), "overlapped", 1.0)
    device = make_device(
        kv_tokens=40, block_size=4, max_model_len=128, kv_bytes_per_token=100, profile=LINEAR, host=host
    )
    batching = Passing(max_num_seqs=1, max_num_batched_tokens=6, phases="by_rank")
    requests = make_requests([0.0, 0.05, 0.1, 0.15], [19, 12, 16, 8], [13, 9, 5, 3], max_tokens=24)
    case = Case(
        requests, make_policy(order=order, batching=batching, eviction=KeepThenSwap()), Cluster((device,)),
        OraclePredictor(),
    )  # fmt: skip
    assert np.isfinite(case.run().requests["finished"]).all()
    assert_leap_equals_step(case)


@settings(stable, max_examples=examples(600))
@given(cases(ranked) | on_several(ranked))
def test_leap_equals_step_where_jobs_are_served_by_rank(case):
    assert_leap_equals_step(case)


def serve(requests, policy, **changes):
    """The tables of a device whose every step takes a second."""
    device = make_device(profile=LinearProfile(1.0, 0.0), **{"block_size": 1, **changes})
    return simulate(requests, policy, Cluster((device,)), OraclePredictor(), record=Record.DECISIONS)


def by_rank(eviction=None, **settings):
    batching = Continuous(phases="by_rank", **settings)
    return make_policy(order=SRPT(), eviction=eviction or Resident(), batching=batching)


def granted(tables) -> list[dict[int, int]]:
    return [dict(decision.granted) for decision in tables.decisions]


class RankedIn(Order):
    """The last id first, by what is of a `kind`."""

    def __init__(self, kind):
        self.kind = kind

    def rank(self, job, now):
        return self.kind(9 - job.request.id)


@pytest.mark.parametrize("kind", [np.int64, np.float32, Fraction, str], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "batching", [Continuous(2, 4, phases="by_rank"), Preemptive(2, 4)], ids=["by rank", "preemptive"]
)
def test_ranks_are_whatever_can_be_compared(kind, batching):
    """Compiled too, where a number that is told its type is refused for another."""
    requests = make_requests([0, 0, 1.5, 2], [1, 3, 1, 5], [4, 5, 2, 1])
    runs = [
        serve(requests, make_policy(order=RankedIn(one), eviction=Resident(), batching=batching))
        for one in (float, kind)
    ]
    assert granted(runs[1]) == granted(runs[0])
    assert runs[0].requests["preemptions"].sum() > 0


def test_tokens_go_to_the_best_first_and_what_is_left_to_the_next():
    tables = serve(make_requests([0, 0.5], [9, 3], [9, 2]), by_rank(max_num_batched_tokens=4))
    assert granted(tables)[:5] == [{0: 4}, {1: 3, 0: 1}, {1: 1, 0: 3}, {0: 1}, {0: 1}]
    assert tables.requests["preemptions"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("eviction", "again"), [(Resident(), []), (Recompute(), [{1: 2}]), (Swap(), [])], ids=lambda one: repr(one)
)
def test_a_running_job_that_gets_no_token_stops_and_goes_on_when_there_are_enough(eviction, again):
    requests = make_requests([0, 0, 1.5], [1, 1, 1], [4, 5, 2])
    tables = serve(requests, by_rank(eviction=eviction, max_num_batched_tokens=2))
    both = [{0: 1, 1: 1}] * 2 + [{0: 1, 2: 1}] * 2
    assert granted(tables) == [*both, *again, {1: 1}, {1: 1}, {1: 1}]
    assert [decision.preempted for decision in tables.decisions][2] == (1,)
    assert tables.requests["preemptions"].tolist() == [0, 1, 0]
    assert tables.steps["blocks_used"].tolist()[2] == 4 + 2 * isinstance(eviction, Resident)


def test_seats_go_to_the_best_first():
    tables = serve(make_requests([0, 0, 1.5], [1, 1, 1], [6, 5, 2]), by_rank(max_num_seqs=2))
    assert granted(tables)[1:5] == [{0: 1, 1: 1}, {1: 1, 2: 1}, {1: 1, 2: 1}, {0: 1, 1: 1}]


@pytest.mark.parametrize(("eviction", "again"), [(Resident(), 4), (KeepThenSwap(), 1)], ids=lambda one: repr(one))
def test_blocks_that_are_short_are_taken_from_the_worst_behind(eviction, again):
    """The third finds five blocks free of which the first takes one; the second holds three."""
    requests = make_requests([0, 0, 0.5], [4, 3, 5], [3, 9, 5])
    tables = serve(requests, by_rank(eviction), kv_tokens=12, max_model_len=12)
    assert granted(tables)[:4] == [{0: 4, 1: 3}, {0: 1, 2: 5}, {0: 1, 2: 1}, {1: again, 2: 1}]
    assert [decision.preempted for decision in tables.decisions][:5] == [(), (1,), (), (), (1,)]


class Counting(Continuous):
    """Counts how often it is asked."""

    def select(self, waiting, running, now):
        ASKED.append(now)
        return waiting


ASKED: list[float] = []


def test_a_waiting_job_that_does_not_fit_holds_up_nobody_who_runs_and_is_not_asked_for_at_each_step():
    """The last ranks before the second, and needs more blocks than that holds, as long as the first is there."""
    ASKED.clear()
    requests = make_requests([0, 0, 0.5], [50, 1, 70], [30, 90, 40])
    policy = make_policy(order=SRPT(), eviction=Resident(), batching=Counting(phases="by_rank"))
    tables = serve(requests, policy, kv_tokens=112, max_model_len=112)
    assert granted(tables)[:30] == [{0: 50, 1: 1}, *[{0: 1, 1: 1}] * 29]
    assert tables.requests["first_scheduled"].tolist() == [0, 0, 30]
    assert len(ASKED) < 12


@stable
@given(cases(ranked, ample=True))
def test_where_seats_alone_are_short_it_is_the_exchange_of_the_worst_for_the_best(case):
    tables = []
    for kind, phases in ((Continuous, "by_rank"), (Preemptive, "mixed")):
        batching = kind(case.policy.batching.max_num_seqs, 1 << 20, phases=phases)
        policy = make_policy(order=case.policy.order, eviction=Recompute(), batching=batching)
        tables.append(plain(simulate(case.requests, policy, case.cluster, case.predictor, record=Record.DECISIONS)))
    assert tables[0] == tables[1]


@pytest.mark.parametrize("phases", ["mixed", "by_rank"])
@pytest.mark.parametrize(
    ("order", "mean"), [(FIFO(), 6.67), (SJF(ServiceTime(phi=0.0, eta=1.0)), 1.27), (SRPT(), 1.27)], ids=repr
)
def test_ltrs_example(order, mean, phases):
    """Answers of 10, 2 and 1 tokens, asked for at once, one at a time, a token a second: s/token, mean of requests."""
    policy = make_policy(order=order, batching=Continuous(max_num_seqs=1, phases=phases))
    table = serve(make_requests([0] * 3, [1] * 3, [10, 2, 1]), policy).requests
    assert (table["finished"] / table["output_tokens"]).mean() == pytest.approx(mean, abs=0.005)


def test_jobs_that_take_each_others_place_for_ever_are_found_out(monkeypatch):
    monkeypatch.setattr("sim.engine.parked.FRUITLESS", 20)
    batching = Continuous(max_num_seqs=1, max_num_batched_tokens=1, phases="by_rank")
    with pytest.raises(RuntimeError, match="KV moved 20 times in a row and no prefill ended, by Turns and Recompute: "):
        serve(make_requests([0, 0], [9, 9], [1, 1]), make_policy(order=Turns(), batching=batching))


def test_ranks_are_charged_as_jobs_come_enter_and_stop_and_of_all_that_run_where_the_order_matters():
    """Two come and enter. In the third step one comes, is ranked beside the two that run, and enters; one stops."""
    policy = make_policy(
        order=SRPT(),
        eviction=Resident(),
        batching=Continuous(max_num_batched_tokens=2, phases="by_rank"),
        overhead=Overhead(rank_seconds=0.001),
    )
    tables = serve(make_requests([0, 0, 1.5], [1, 1, 1], [4, 5, 2]), policy)
    assert tables.steps["overhead_seconds"].tolist()[:3] == pytest.approx([0.004, 0.0, 0.006])
