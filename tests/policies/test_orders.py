"""Every order's rank of jobs made by hand, and what the ranks lead to."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.eviction.keep import Resident
from policies.order.aging import Aging
from policies.order.fifo import FIFO
from policies.order.hpf import HPF
from policies.order.least_attained import LeastAttained
from policies.order.ltr import LTR, Turn
from policies.order.luf import LUF
from policies.order.mlfq import MLFQ, Place
from policies.order.muf import MUF
from policies.order.perception import Perception
from policies.order.priority import Priority
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.order.trail_released import TrailReleased
from policies.order.up import UP
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Prediction, Request, Truth, simulate
from sim.job import Job
from sim.metrics import response_time
from tests.conftest import LinearProfile, make_device, make_policy, make_requests, poisson_requests

SERVICE = ServiceTime(phi=0.25, eta=2.0)  # s per prompt token, s per output token


def job(arrival=1.0, prompt=8, length=10.0, uncertainty=20.0, deadline=None):
    request = Request(0, arrival, prompt, Truth(999), deadline=deadline, priority=3.0)
    return Job(request, Prediction(length=length, uncertainty=uncertainty))


@pytest.mark.parametrize(
    ("order", "rank"),
    [
        (FIFO(), 1.0),
        (SJF(SERVICE), 8 * 0.25 + 10 * 2.0),
        (SRPT(), 10.0),
        (TrailReleased(), 10.0),
        (Priority(), 3.0),
        (LUF(), 20.0),
        (MUF(), -20.0),
        (HPF(SERVICE), 1.0 + 8 * 0.25),
        (HPF(SERVICE, prompt_weight=3.0), 1.0 + 3 * 8 * 0.25),
        (UP(SERVICE, alpha=0.5), 1.0 + 2.0 - 0.5 * (2.0 + 40.0)),
        (UP(SERVICE, alpha=-0.5), 1.0 + 2.0 + 0.5 * (2.0 + 40.0)),
        (UP(SERVICE, alpha=0.5, prompt_weight=0.0), 1.0 - 0.5 * (2.0 + 40.0)),
    ],
    ids=repr,
)
def test_a_rank_is_what_its_formula_says_at_any_instant(order, rank):
    assert order.rank(job(), now=1.0) == order.rank(job(), now=77.0) == rank


@pytest.mark.parametrize(("now", "rank"), [(1.0, 10.0), (3.0, 4.0), (11.0, -20.0)])
def test_aging_takes_its_weight_in_tokens_off_a_rank_for_each_second_waited(now, rank):
    """But for what `now` takes from every rank alike."""
    assert Aging(weight=3.0).rank(job(length=10.0), now) - 3.0 * now == rank
    assert Aging(weight=0.0).rank(job(length=10.0), now) == 10.0


def test_with_aging_a_long_job_overtakes_the_short_ones_that_come_long_after_it():
    """One of 30 tokens, and one of 5 tokens a second later and every 5 s after that: they would always go first."""
    requests = make_requests([0, 0.5, *range(1, 100, 5)], [1] * 22, [5, 30, *[5] * 20])
    places = [np.argsort(np.argsort(finished(order, requests)["finished"]))[1] for order in (Aging(0.0), Aging(1.0))]
    assert places == [21, 6]


def test_what_is_left_of_a_job_is_what_was_predicted_less_what_was_emitted():
    begun = job(length=10.0)
    for emitted, left in [(4, 6.0), (10, 0.0), (12, 0.0)]:
        begun.base_emitted = emitted
        assert SRPT().rank(begun, now=1.0) == left


def test_a_deadline_that_the_trace_gives_is_the_priority_point():
    urgent = job(deadline=5.0)
    assert HPF(SERVICE).rank(urgent, 1.0) == 5.0
    assert UP(SERVICE, alpha=0.5).rank(urgent, 1.0) == 5.0 - 0.5 * 42.0


def test_a_positive_alpha_lets_long_jobs_go_first_and_a_negative_one_short_jobs():
    short, long = job(uncertainty=5.0), job(uncertainty=50.0)
    assert UP(SERVICE, alpha=1.0).rank(long, 0) < UP(SERVICE, alpha=1.0).rank(short, 0)
    assert UP(SERVICE, alpha=-1.0).rank(short, 0) < UP(SERVICE, alpha=-1.0).rank(long, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UP(SERVICE, alpha=math.nan), "alpha must be finite, got nan"),
        (lambda: UP(SERVICE, alpha=1.0, prompt_weight=math.inf), "prompt_weight must be finite, got inf"),
        (lambda: Aging(weight=-1.0), "weight must not be negative, got -1.0"),
        (lambda: Aging(weight=math.nan), "weight must not be negative, got nan"),
        (lambda: LeastAttained(quantum=0), "quantum must be at least 1 token, got 0"),
        (lambda: MLFQ(quantum=0.0), "quantum must be positive and finite, got 0.0 s"),
        (lambda: MLFQ(growth=0.5), "growth must be at least 1 and finite, got 0.5"),
        (lambda: MLFQ(levels=0), "levels must be at least 1, got 0"),
        (lambda: MLFQ(patience=0.0), "patience must be positive, got 0.0 s"),
        (lambda: LTR(starvation=0), "starvation must be at least 1 step, got 0"),
        (lambda: LTR(period=0), "period must be at least 1 step, got 0"),
        (lambda: Perception(0), "tokens must be at least 1, got 0"),
        (lambda: TrailReleased(1.5), r"share must be within \[0, 1\], got 1.5"),
        (lambda: HPF(SERVICE, prompt_weight=math.nan), "prompt_weight must be finite, got nan"),
        (lambda: ServiceTime(phi=-1.0, eta=0.0), "phi must be finite and not negative, got -1.0"),
        (lambda: ServiceTime(phi=0.0, eta=math.inf), "eta must be finite and not negative, got inf"),
    ],
)
def test_a_wrong_parameter_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def finished(order, requests, batching=None):
    """When each request is finished by a device that serves one at a time, 1 s a step."""
    device = make_device(profile=LinearProfile(fixed=1.0, per_token=0.0))
    policy = make_policy(order=order, batching=batching or Continuous(max_num_seqs=1), eviction=Resident())
    return simulate(requests, policy, Cluster((device,)), OraclePredictor()).requests


@pytest.mark.parametrize(
    ("order", "first_to_last"),
    [
        (FIFO(), [0, 1, 2, 3]),
        (SJF(SERVICE), [0, 3, 2, 1]),
        (LUF(), [0, 3, 2, 1]),
        (MUF(), [0, 1, 2, 3]),
        (HPF(SERVICE), [0, 2, 3, 1]),
        (UP(SERVICE, alpha=-1.0), [0, 3, 2, 1]),
    ],
    ids=repr,
)
def test_jobs_that_waited_for_the_same_device_are_served_by_rank(order, first_to_last):
    requests = make_requests([0, 1, 2, 3], [1, 30, 4, 1], [9, 7, 4, 2])
    assert np.argsort(finished(order, requests)["finished"]).tolist() == first_to_last


def test_jobs_of_equal_rank_are_served_by_arrival_then_id():
    requests = make_requests([0, 1, 1, 2], [1] * 4, [9, 5, 5, 5])
    assert np.argsort(finished(LUF(), requests)["finished"]).tolist() == [0, 1, 2, 3]


def test_up_without_alpha_is_hpf():
    requests = poisson_requests(rate=0.05, count=200, seed=5, mean_output=15)
    with_up, with_hpf = (finished(order, requests)["finished"] for order in (UP(SERVICE, alpha=0.0), HPF(SERVICE)))
    assert with_up.tolist() == with_hpf.tolist()
    assert with_up.tolist() != finished(UP(SERVICE, alpha=5.0), requests)["finished"].tolist()


@settings(derandomize=True, deadline=None, max_examples=40, database=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_sjf_with_the_oracle_is_the_best_of_all_sequences_on_one_server(outputs):
    together = make_requests([0] * len(outputs), [1] * len(outputs), outputs)
    best = min(sum(itertools.accumulate(sequence)) for sequence in itertools.permutations(outputs))
    assert response_time(finished(SJF(SERVICE), together)).sum() == best


def test_sjf_with_the_oracle_responds_sooner_than_fifo_in_a_busy_stream():
    requests = poisson_requests(rate=0.05, count=400, seed=2, mean_output=15)
    by_length, by_arrival = (response_time(finished(order, requests)).mean() for order in (SJF(SERVICE), FIFO()))
    assert by_length < 0.9 * by_arrival


ALONE = Preemptive(max_num_seqs=1)


@pytest.mark.parametrize(("quantum", "at"), [(1, [10.0, 8.0, 6.0]), (2, [10.0, 9.0, 6.0]), (3, [10.0, 6.0, 8.0])])
def test_who_has_attained_the_least_goes_first(quantum, at):
    """By quanta of one: the first has two tokens when the second comes, which takes two; the third takes its two."""
    requests = make_requests([0, 2, 4], [1, 1, 1], [5, 3, 2])
    assert finished(LeastAttained(quantum), requests, ALONE)["finished"].tolist() == at


def test_a_job_goes_down_a_level_when_its_quantum_is_served_and_up_when_it_waited_long():
    order, begun = MLFQ(quantum=1.0, growth=2.0, levels=3, patience=10.0), job()

    def at(now, admission):
        begun.note = order.note(begun, now, 0)
        begun.admission = admission
        stands = order.stands(begun, now)
        assert order.rank(begun, now) == begun.note[:2]
        return begun.note, stands.instant

    assert at(5.0, 0) == (Place(0, 5.0, 0.0, 0.0, 5.0), math.inf)
    assert at(7.0, 1) == (Place(0, 5.0, 0.0, 2.0, 7.0), 8.0)
    assert at(8.0, 1) == (Place(1, 8.0, 0.0, 0.0, 8.0), 10.0)
    assert at(9.5, 0) == (Place(1, 8.0, 1.5, 0.0, 9.5), 19.5)
    assert at(10.5, 1) == (Place(1, 8.0, 1.5, 1.0, 10.5), 11.0)
    assert at(11.25, 0) == (Place(2, 11.25, 0.25, 0.0, 11.25), 21.25)
    assert at(21.25, 1) == (Place(0, 21.25, 0.0, 0.0, 21.25), 22.25)
    assert at(60.0, 1) == (Place(2, 60.0, 35.75, 0.0, 60.0), math.inf)


def test_under_feedback_a_short_job_passes_a_long_one_which_comes_back_after_its_patience():
    """Levels of 2.5 and 10 s; where all are hasty the first and the third run a quantum of 2.5 s in turn."""
    requests = make_requests([0, 4, 5], [1, 1, 1], [12, 2, 9])
    patient, hasty = (MLFQ(quantum=2.5, growth=4.0, levels=3, patience=patience) for patience in (1000.0, 2.0))
    assert finished(patient, requests, ALONE)["finished"].tolist() == [17.0, 6.0, 23.0]
    assert finished(hasty, requests, ALONE)["finished"].tolist() == [23.0, 6.0, 21.0]


@pytest.mark.parametrize(("emitted", "runs", "rank"), [(5, False, 5.0), (6, False, math.inf), (6, True, 4.0)])
def test_who_waits_though_trail_spares_it_goes_last_as_released(emitted, runs, rank):
    begun = job()
    begun.base_emitted, begun.admission = emitted, int(runs)
    assert TrailReleased(share=0.5).rank(begun, now=1.0) == rank


def ltrs_own(requests, seats, starvation, period):
    """When each request ends by LTR's scheduler as its paper and its code have it, a token a second, KV ample."""
    jobs = [{"id": one.id, "size": one.truth.output_tokens, "pri": 0, "idle": 0, "runs": 0} for one in requests]
    now, ends = 0.0, {}
    while len(ends) < len(jobs):
        here = [job for job in jobs if job["id"] not in ends and requests[job["id"]].arrival <= now]
        if not here:
            now = min(requests[job["id"]].arrival for job in jobs if job["id"] not in ends)
            continue
        for job in here:
            if starvation and job["idle"] >= starvation:
                job |= {"pri": -1, "idle": 0, "runs": period}
            elif job["pri"] == -1 and job["runs"] <= 0:
                job["pri"] = 0
        here.sort(key=lambda job: (job["pri"], requests[job["id"]].truth.output_tokens))
        now += 1
        for place, job in enumerate(here):
            if place >= seats:
                job["idle"] += 1
                continue
            job |= {"idle": 0, "runs": job["runs"] - (job["pri"] == -1), "size": job["size"] - 1}
            if not job["size"]:
                ends[job["id"]] = now
    return [ends[one.id] for one in requests]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.permutations(range(1, 30)),
    st.integers(1, 3),
    st.sampled_from([2, 5, 9, None]),
    st.integers(1, 6),
)
def test_who_starves_goes_first_exactly_as_in_ltrs_own_scheduler(arrivals, sizes, seats, starvation, period):
    requests = make_requests([0.5 + one for one in sorted(arrivals)], [1] * len(arrivals), sizes[: len(arrivals)])
    batching = Continuous(max_num_seqs=seats, phases="by_rank")
    ends = finished(LTR(starvation, period), requests, batching)["finished"].tolist()
    assert ends == ltrs_own(requests, seats, starvation, period)


def test_who_comes_to_another_replica_starves_anew():
    """The steps of one are not those of another."""
    moved = job()
    moved.note, moved.replica = Turn(5, 3, 1000, 0), 1
    assert LTR(9, 4).note(moved, 0.0, steps=70) == Turn(0, 0, 70, 1)


@pytest.mark.parametrize(("emitted", "rank"), [(0, (0, 1.0)), (2, (0, 1.0)), (3, (1, 10.0))])
def test_who_has_not_said_how_long_its_answer_is_goes_first(emitted, rank):
    begun = job(arrival=1.0, length=10.0)
    begun.base_emitted = emitted
    assert Perception(tokens=3).rank(begun, 5.0) == rank
    assert Perception(tokens=3).stands(begun, 5.0).tokens == (3 - emitted or math.inf)
