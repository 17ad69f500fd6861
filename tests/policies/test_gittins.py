"""Gittins's index against brute force; the boosts of gamma-Boost and UniBoost against their formulas."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.order.boost import Boost, log_growth
from policies.order.gittins import Gittins, index_of
from policies.order.service_time import ServiceTime
from policies.order.srpt import SRPT
from policies.order.uniboost import UniBoost
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Distribution, Prediction, Request, Stands, Truth, simulate
from sim.job import Job
from sim.policy import ALWAYS
from tests.conftest import LinearProfile, make_device, make_policy, poisson_requests

PER_TOKEN = ServiceTime(phi=0.0, eta=1.0)


def job(law=None, emitted=0, arrival=1.0, prompt=1):
    told = Job(Request(0, arrival, prompt, Truth(9999)), Prediction(1.0, 1.0, distribution=law))
    told.base_emitted = emitted
    return told


lengths = st.integers(0, 600).map(lambda tenths: tenths / 10) | st.integers(0, 60).map(float)
ordered = st.lists(lengths, min_size=1, max_size=7).map(sorted)


@st.composite
def curves(draw):
    """Quantile curves, which may have mass at both ends, and jumps."""
    points = draw(ordered)
    levels = sorted(draw(st.lists(st.integers(0, 20), min_size=len(points), max_size=len(points))))
    return Distribution(tuple(level / 20 for level in levels), tuple(points))


@st.composite
def histograms(draw):
    edges = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=7)))
    masses = draw(st.lists(st.integers(0, 5), min_size=len(edges) - 1, max_size=len(edges) - 1).filter(any))
    return Distribution.of_histogram(edges, masses)


LAWS = ordered.map(Distribution.of_atoms) | histograms() | curves()
SHARES = st.sampled_from([1.0, 0.9, 0.5])


def brute(law: Distribution, age: float, trusted: float) -> float:
    """The least of E[min(S - a, D); S > a] / P(a < S <= a + D) over many D, by trapezoids between all points."""
    last = law.quantile(trusted)

    def through(length: float) -> float:
        return min(1 - law.survival(length), trusted) if length < last else trusted

    ends = sorted({one for one in law.lengths if age < one <= last} | {last} if last > age else set())
    best, spent, since = math.inf, 0.0, age
    for end in ends:
        for until in np.linspace(since, end, 9)[1:]:
            before = through(math.nextafter(until, 0.0)) if until in law.lengths else through(until)
            spent += (until - since) * (1 - (through(since) + before) / 2)
            since = until
            if (done := through(until) - through(age)) > 1e-12:
                best = min(best, spent / done)
    return best


@settings(max_examples=60)
@given(LAWS, st.integers(0, 61), SHARES)
def test_the_index_is_the_least_cost_of_an_answer_that_ends(law, age, trusted):
    assert index_of(law, trusted).rank(age) == pytest.approx(brute(law, age, trusted), rel=1e-6, abs=1e-9)


@settings(max_examples=60)
@given(LAWS, SHARES)
def test_a_rank_falls_until_it_stands_no_longer_and_then_it_rises(law, trusted):
    order, index = Gittins(trusted), index_of(law, trusted)
    for age in range(62):
        stands = order.stands(job(law, age), now=5.0)
        assert stands.tokens >= 1
        if stands == ALWAYS:
            assert index.rank(age) == math.inf
            continue
        ranks = [index.rank(later) for later in range(age, age + int(stands.tokens))]
        assert all(after <= before for before, after in itertools.pairwise(ranks))
    for age in index.rises:
        assert index.rank(age) > index.rank(age * (1 - 1e-7)) * (1 - 1e-5)


def test_hand_worked_indices():
    """Of 1, 6 and 14 at 1: 5 / (1 / 2) to 6, and (5 + 13) / 2 = 9 to 14."""
    law = Distribution.of_atoms([1, 6, 14])
    ranks = [Gittins().rank(job(law, age), now=0.0) for age in (0, 1, 3, 6, 10, 14)]
    assert [rank for rank, _ in ranks] == pytest.approx([3.0, 9.0, 6.0, 8.0, 4.0, math.inf])
    assert [behind for _, behind in ranks] == [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    assert [Gittins().stands(job(law, age), 0.0) for age in (0, 1, 3, 14)] == [
        Stands(tokens=1), Stands(tokens=5), Stands(tokens=3), ALWAYS,
    ]  # fmt: skip
    half = Distribution.of_histogram([0, 10, 20], [3, 1])
    assert Gittins().rank(job(half, 0), 0.0)[0] == pytest.approx(
        10 * (1 + 0.25) / 2 + 10 * 0.25 / 2
    )  # to 20, and not to 10
    assert Gittins().rank(job(half, 10), 0.0)[0] == pytest.approx(5.0)
    assert Gittins().rank(job(half, 15), 0.0)[0] == pytest.approx(2.5)


def test_a_job_stands_until_the_first_whole_token_at_or_after_a_point():
    law = Distribution.of_atoms([2.5, 7.0])
    assert [Gittins().stands(job(law, age), 0.0).tokens for age in (0, 2, 3)] == [3, 1, 4]
    assert Gittins().rank(job(law, 2), 0.0)[0] == pytest.approx(1.0)  # 0.5 / (1 / 2)
    assert Gittins().rank(job(law, 3), 0.0)[0] == pytest.approx(4.0)


def test_where_hazards_rise_a_rank_stands_to_the_last_point():
    even = Distribution.of_histogram(range(0, 101, 5), [1] * 20)
    assert index_of(even, 1.0).rises == (100,)
    falling = Distribution.of_histogram(range(0, 101, 5), [2.0**-part for part in range(20)])
    assert len(index_of(falling, 1.0).rises) > 15


def test_what_is_not_trusted_never_ends():
    """The longer half of 10 and 1000 seems endless: to 10 it is 10 / (1 / 2), and beyond who came last goes first."""
    law = Distribution.of_atoms([10, 1000])
    assert Gittins(0.5).rank(job(law, 0), 0.0) == (20.0, 0.0)
    assert [Gittins(0.5).rank(job(law, 10, at), 0.0) for at in (1.0, 2.0)] == [(math.inf, -1.0), (math.inf, -2.0)]
    assert Gittins(1.0).rank(job(law, 10), 0.0) == (990.0, 0.0)
    short = Distribution.of_atoms([*range(1, 10), 1000])
    assert Gittins(0.9).rank(job(short, 8), 0.0)[0] == pytest.approx(2.0)
    assert Gittins(0.85).rank(job(short, 8), 0.0)[0] == pytest.approx(1 / 0.25)


@pytest.mark.parametrize("batching", [Preemptive(1), Preemptive(3, 4)])
def test_who_knows_the_lengths_serves_the_shortest_remaining_time(batching):
    requests, steps = poisson_requests(0.4, 60, seed=3), []
    device = make_device(profile=LinearProfile(fixed=0.05, per_token=0.0))
    for order in (Gittins(), SRPT()):
        policy = make_policy(order=order, batching=batching, eviction=Resident())
        steps.append(simulate(requests, policy, Cluster((device,)), OraclePredictor()).requests)
    assert steps[0]["preemptions"].sum() > 0
    assert steps[0]["finished"].tolist() == steps[1]["finished"].tolist()


@given(st.floats(1e-4, 1.0), st.floats(0.5, 300.0), st.floats(0, 100))
@settings(max_examples=40)
def test_the_boost_of_a_known_size_is_its_formula(gamma, size, arrival):
    boost = -math.log1p(-math.exp(-gamma * size)) / gamma
    order = Boost(gamma, PER_TOKEN)
    rank = order.rank(job(Distribution.certain(size), arrival=arrival), now=7.0)
    assert rank == pytest.approx(arrival - boost, rel=1e-9, abs=1e-9)


@given(LAWS.filter(lambda law: law.lengths[-1] > 0), st.floats(1e-3, 0.5))
@settings(max_examples=40)
def test_the_boost_of_a_law_is_by_its_exponential_moment(law, gamma):
    levels = np.linspace(0, 1, 4001)[1:] - 1 / 8000
    moment = np.mean([math.exp(gamma * law.quantile(level)) for level in levels])
    assert math.exp(log_growth(law, gamma)) == pytest.approx(moment, rel=0.02)


def test_long_answers_do_not_overflow_and_their_boost_is_nothing():
    law = Distribution.of_histogram([0, 1e5, 1e6], [1, 1])
    assert Boost(10.0, PER_TOKEN).rank(job(law), now=0.0) == 1.0
    mixed = Distribution.of_atoms([1.0, 2000.0])
    assert log_growth(mixed, 1.0) == pytest.approx(2000.0 - math.log(2))


def test_the_prompt_counts_as_service_and_a_call_as_none():
    waiting = job(Distribution.certain(10.0), prompt=4)
    waiting.call_seconds = 3.0
    boost = Boost(0.1, ServiceTime(phi=0.5, eta=2.0))
    assert boost.rank(waiting, 0.0) == pytest.approx(1.0 + 3.0 + math.log(1 - math.exp(-0.1 * 22.0)) / 0.1)


def test_where_gamma_is_small_the_expected_size_decides():
    """And not the arrivals, nor how much a size varies."""
    laws = [Distribution.of_atoms(atoms) for atoms in ([1, 30], [15, 17], [14, 16.5], [2, 2], [0, 90])]
    jobs = [job(law, arrival=at) for at, law in enumerate(laws)]
    ranks = [Boost(1e-9, PER_TOKEN).rank(one, 0.0) for one in jobs]
    assert (
        np.argsort(ranks).tolist() == np.argsort([law.mean for law in laws], kind="stable").tolist() == [3, 2, 0, 1, 4]
    )


def test_uniboost_ranks_by_the_work_that_a_job_has_had():
    order = UniBoost(0.1, ServiceTime(phi=0.5, eta=2.0))
    ranks = [order.rank(job(emitted=emitted, prompt=4), 9.0) for emitted in (0, 15, 16, 31, 32, 100)]
    work = [2.0, 2.0, 34.0, 34.0, 66.0, 130.0]
    assert ranks == pytest.approx([1.0 + math.log(1 - math.exp(-0.1 * one)) / 0.1 for one in work])
    stands = [order.stands(job(emitted=emitted), 9.0).tokens for emitted in (0, 15, 16, 31, 32, 100)]
    assert stands == [16, 1, 16, 1, 32, 28]
    assert UniBoost(0.1, PER_TOKEN).rank(job(prompt=4), 9.0) == -math.inf


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gittins(0.0), "trusted must be above 0 and at most 1, got 0.0"),
        (lambda: Gittins(1.1), "trusted must be above 0 and at most 1, got 1.1"),
        (lambda: Boost(0.0, PER_TOKEN), "gamma must be positive and finite, got 0.0 per s"),
        (lambda: UniBoost(math.inf, PER_TOKEN), "gamma must be positive and finite, got inf per s"),
        (lambda: UniBoost(1.0, PER_TOKEN, first=0), "first must be at least 1 token, got 0"),
        (lambda: Gittins().rank(job(), 0.0), "request 0: policy.order ranks by a predicted distribution of lengths"),
        (
            lambda: Boost(1.0, PER_TOKEN).rank(job(), 0.0),
            "request 0: policy.order ranks by a predicted distribution of lengths",
        ),
    ],
)
def test_what_is_wrong_is_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
