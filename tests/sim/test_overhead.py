"""Every rank that is computed is charged, once, the search for a victim among those that run included."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.order.fifo import FIFO
from policies.order.least_attained import LeastAttained
from policies.order.ltr import LTR
from policies.order.priority import Priority
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Overhead, Record
from sim.policy import FixedOrder, NotingOrder, Order
from tests.cases import (
    Ageing,
    Case,
    Promoting,
    cases,
    continuous,
    levels,
    on_several,
    plain,
    preemptive,
    ranked,
    stable,
    together,
)
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

RANK_SECONDS = 2.0**-20  # so that sums are exact


@dataclass
class Counting(Order):
    """The order given, and how often it was asked."""

    order: Order
    calls: int = 0

    def rank(self, job, now):
        self.calls += 1
        return self.order.rank(job, now)

    def stands(self, job, now):
        return self.order.stands(job, now)


class CountingFixed(Counting, FixedOrder):
    pass


class CountingNoting(Counting, NotingOrder):
    def note(self, job, now, steps):
        return self.order.note(job, now, steps)


def counting_ranks(order: Order) -> Counting:
    if isinstance(order, FixedOrder):
        return CountingFixed(order)
    return CountingNoting(order) if isinstance(order, NotingOrder) else Counting(order)


def charged_and_computed(case: Case, leap: bool) -> tuple[float, int]:
    """Ranks charged in the steps of a run, and those computed."""
    counting = counting_ranks(case.policy.order)
    policy = replace(case.policy, order=counting, overhead=Overhead(0.0, RANK_SECONDS))
    tables = replace(case, policy=policy).run(Record.STEPS, leap=leap)
    return float(tables.steps["overhead_seconds"].sum()) / RANK_SECONDS, counting.calls


ORDERS = [FIFO(), Priority(), SRPT(), Ageing(1.0), Ageing(3.0), Promoting(0.1), LeastAttained(5), levels]


@pytest.mark.parametrize("order", ORDERS, ids=repr)
@pytest.mark.parametrize("leap", [True, False])
def test_in_a_run_with_preemptions_each_rank_computed_is_charged(order, leap):
    requests = make_requests([0.01 * number for number in range(40)], [16] * 40, [24] * 40)
    cluster = Cluster((make_device(profile=LinearProfile(0.01, 0.0), kv_tokens=160, max_model_len=64),))
    case = Case(requests, make_policy(order=order), cluster, OraclePredictor())
    preemptions = case.run().requests["preemptions"].sum()
    charged, computed = charged_and_computed(case, leap)
    assert preemptions > 20
    assert charged == computed > 40 + preemptions


@stable
@given(cases(continuous | together) | on_several(continuous | together), st.booleans())
def test_charged_ranks_are_those_computed(case, leap):
    charged, computed = charged_and_computed(case, leap)
    assert charged == pytest.approx(computed, abs=1e-6)


@stable
@given(cases(preemptive) | on_several(preemptive))
def test_the_ranks_of_a_refusal_that_stands_are_charged_once(case):
    """Stepping looks for a victim in every step; neither pays for that again.

    Each search of a step pays for all that run, though their ranks are known from the first: so no count of what was
    computed bounds what is charged.
    """
    (leaping, computed), (stepping, more) = (charged_and_computed(case, leap) for leap in (True, False))
    assert leaping == stepping
    assert computed <= more


@stable
@given(cases(continuous | together) | on_several(continuous | together))
def test_leaping_computes_as_many_ranks_as_stepping(case):
    assert charged_and_computed(case, True) == charged_and_computed(case, False)


@stable
@given(cases(preemptive | ranked | continuous) | on_several(preemptive | ranked | continuous))
def test_an_order_that_says_it_is_fixed_does_and_is_charged_as_one_whose_ranks_just_never_move(case):
    """LTR without a starvation is; with one that never comes it is not, and ranks alike."""
    tables = [
        replace(case, policy=replace(case.policy, order=order, overhead=Overhead(0.0, RANK_SECONDS))).run(Record.STEPS)
        for order in (LTR(), LTR(starvation=10**9))
    ]
    assert LTR().fixed
    assert not LTR(starvation=10**9).fixed
    assert plain(tables[0]) == plain(tables[1])
