"""TIE and A_min: ranks by a predicted law, worked out by hand, and who goes first, who is put out."""

import math

import pandas as pd
import pytest

from policies.batching.continuous import Continuous
from policies.contract import check_policy
from policies.order.a_min import AMin
from policies.order.tie import TIE
from policies.predictor.samples import SamplesPredictor
from sim import Cluster, Prediction, Request, Truth
from sim.job import Job
from sim.policy import Predictor
from sim.prediction import Distribution
from tests.conftest import LinearProfile, make_device, make_policy

LAW = Distribution.of_atoms([10, 10, 10, 10, 10, 10, 10, 10, 10, 110])  # mean 20, the longest tenth 110


def job(arrival=0.0, found=0, law=LAW, emitted=0, runs=False):
    made = Job(Request(0, arrival, 8, Truth(999)), Prediction(20.0, 20.0, distribution=law))
    made.found, made.base_emitted, made.admission = found, emitted, int(runs)
    return made


def requests_of(*rows):
    """(arrival, answer, other answers) of each."""
    return [Request(at, row[0], 16, Truth(row[1], samples=tuple(row[2]))) for at, row in enumerate(rows)]


def served(order, requests, seats=256, **device):
    """The requests' table; every rule of the contract is checked, and that leaping is stepping."""
    cluster = Cluster((make_device(profile=LinearProfile(fixed=1.0, per_token=0.0), **device),))
    tables = check_policy(make_policy(order=order, batching=Continuous(seats)), cluster, SamplesPredictor(), requests)
    return pd.DataFrame(tables.requests).sort_values("id")


@pytest.mark.parametrize(("found", "inflation"), [(0, 0.1), (4, 0.1), (8, 0.2), (12, 0.3), (99, 0.5)])
def test_a_score_is_the_mean_and_as_much_of_the_tail_as_jobs_waited(found, inflation):
    assert TIE(seats=4).score(job(found=found)) == pytest.approx(20 + inflation * 110)


def test_a_tail_of_another_size_is_the_mean_of_so_many_of_the_longest():
    assert TIE(seats=4, tail=0.8).score(job()) == pytest.approx(20 + 0.1 * 60)
    assert TIE(seats=4, tail=0.0, least=0.5).score(job()) == pytest.approx(30)
    assert TIE(seats=4, least=0.0, most=0.0).score(job(found=99)) == pytest.approx(20)


@pytest.mark.parametrize(("ratio", "later"), [(2.0, 100.0), (1.3, 5.0), (10.0, 600.0)])
def test_who_waits_comes_before_who_is_shorter_when_its_score_has_decayed_below(ratio, later):
    """Each 30 s that one has waited longer than the other its score is worth 0.9 of what it was."""
    order, long = TIE(seats=4), Distribution.certain(100.0)
    short = Distribution.certain(100.0 / ratio)
    first = order.rank(job(0.0, law=long), 1e3) < order.rank(job(later, law=short), 1e3)
    assert first == (ratio * 0.9 ** (later / 30) < 1)


def test_a_rank_is_the_log_of_the_decayed_score_but_for_what_now_takes_from_all():
    now, order = 90.0, TIE(seats=4)
    waited = job(30.0)
    decayed = order.score(waited) * 0.9 ** ((now - 30.0) / 30)
    assert order.rank(waited, now) + now / 30 * math.log(0.9) == pytest.approx(math.log(decayed))


def test_of_two_with_one_mean_the_surer_goes_first_and_without_decay_shorter_ones_for_ever():
    rows = [(0.0, 50, [50]), (1.0, 20, [5, 35]), (2.0, 20, [19, 21])]
    finished = served(TIE(seats=256), requests_of(*rows), seats=1)["finished"].tolist()
    assert finished[0] < finished[2] < finished[1]
    waiting = [(0.0, 30, [30]), (0.5, 30, [30]), *[(1.0 + 10 * at, 12, [12]) for at in range(12)]]
    places = [
        served(TIE(seats=256, **changed), requests_of(*waiting), seats=1)["finished"].rank().iloc[1]
        for changed in ({"decay": 1.0}, {"decay": 0.1})
    ]
    assert places[0] == len(waiting)
    assert places[1] < len(waiting)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seats": 0}, "seats must be at least 1, got 0"),
        ({"tail": 1.0}, r"tail must be within \[0, 1\), got 1.0"),
        ({"least": 0.6}, "most must be finite and at least least, 0.6, got 0.5"),
        ({"step": -0.1}, "step must be finite and not negative, got -0.1"),
        ({"decay": 0.0}, "decay must be above 0 and at most 1, got 0.0"),
        ({"period": 0.0}, "period must be positive and finite, got 0.0 s"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TIE(**{"seats": 4, **settings})
    with pytest.raises(ValueError, match=r"level must be within \[0, 1\), got 1.0"):
        AMin(level=1.0)


class Bare(Predictor):
    """Says a length and no law."""

    def predict(self, request):
        return Prediction(9.0, 9.0)


@pytest.mark.parametrize("order", [TIE(seats=4), AMin()])
def test_without_a_law_an_order_says_what_it_lacks(order):
    with pytest.raises(
        ValueError,
        match=r"policy.order ranks by a predicted distribution of lengths, the predictor says a number alone",
    ):
        check_policy(make_policy(order=order), Cluster((make_device(),)), Bare(), requests_of((0.0, 5, [])))


def test_a_min_lets_the_least_bound_in_first_and_puts_it_out_first():
    order = AMin(level=0.5)
    low, high = (job(law=Distribution.certain(length)) for length in (5.0, 50.0))
    for one in (low, high):
        one.note = order.note(one, 0.0, 0)
    assert order.rank(low, 0.0) < order.rank(high, 0.0)
    low.admission = high.admission = 1
    assert order.rank(low, 0.0) > order.rank(high, 0.0)


@pytest.mark.parametrize(("emitted", "bound"), [(3, 10.0), (40, 40.0)])
def test_a_bound_becomes_what_an_evicted_job_has_emitted_if_that_is_more(emitted, bound):
    order, begun = AMin(level=0.05), job()
    begun.note = order.note(begun, 0.0, 0)
    assert begun.note == 10.0
    begun.base_emitted, begun.admission = emitted, 1
    begun.note = order.note(begun, 5.0, emitted)
    assert begun.note == bound
    begun.admission = 0
    assert order.note(begun, 6.0, emitted) == bound


def test_an_answer_that_outlives_its_bound_is_put_out_and_then_waits_behind_those_of_a_larger_one():
    """Blocks of 16: two jobs that were thought short fill 10 blocks; the third was thought longer than what the evicted
    had emitted, and would still pass it if its bound had stayed at 2."""
    rows = [(0.0, 90, [40]), (0.0, 90, [2]), (1.0, 30, [10, 30])]
    table = served(AMin(level=0.05), requests_of(*rows), kv_tokens=160)
    assert table["preemptions"].tolist()[:2] == [0, 1]
    assert table["finished"].iloc[0] < table["finished"].iloc[1]
    assert table["finished"].iloc[2] < table["finished"].iloc[1]
