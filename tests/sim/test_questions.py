"""A simulation that asks where each job shall go, and is told: `Simulation.questions`; answers by several models."""

import dataclasses
import itertools

import pytest
from hypothesis import given

from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Leg, Overhead, Request, Simulation, Truth, simulate
from sim.metrics import summary
from tests.cases import Unhurried, on_several, plain
from tests.conftest import make_device, make_policy, make_requests

SMALL, LARGE = make_device("s", model="small"), make_device("l", model="large")
BOTH = Cluster((SMALL, LARGE))


class To:
    """Always to the same replicas."""

    def __init__(self, *replicas):
        self.legs = tuple(Leg(one, prefill_only=one != replicas[-1]) for one in replicas)

    def route(self, job, cluster):
        return self.legs


def begun(requests, cluster=BOTH, **settings):
    return Simulation(requests, make_policy(), cluster, OraclePredictor(), **settings)


def answered(questions, route):
    """The tables of a run of which `route` answers each question."""
    legs = None
    try:
        while True:
            legs = route(*questions.send(legs))
    except StopIteration as end:
        return end.value


@given(on_several())
def test_whoever_answers_as_the_policy_would_has_the_same_run(case):
    told, seen = Unhurried(0.3), []

    def answer(job, replicas):
        seen.append([view.jobs for view in replicas])  # to look changes nothing
        return told.route(job, replicas)

    policy = dataclasses.replace(case.policy, routing=told)
    devices = tuple(dataclasses.replace(one, kind="gpu", model="") for one in case.cluster.devices)
    cluster = dataclasses.replace(case.cluster, devices=devices)
    run = Simulation(case.requests, policy, cluster, case.predictor)
    found = answered(run.questions(), answer)
    assert len(seen) == len(case.requests)
    assert plain(found) == plain(simulate(case.requests, policy, cluster, case.predictor))


def test_a_question_is_asked_when_its_request_comes_and_shows_what_is_so_then():
    questions = begun(make_requests([0.0, 0.25, 9.0], [4, 4, 4], [99, 2, 2])).questions()
    first = next(questions)
    assert [view.model for view in first.replicas] == ["small", "large"]
    assert [view.jobs for view in first.replicas] == [0, 0]
    second = questions.send([Leg(1)])
    assert (second.job.request.id, [view.jobs for view in second.replicas]) == (1, [0, 1])
    third = questions.send([Leg(0)])
    assert [view.jobs for view in third.replicas] == [0, 0]  # both are through
    assert [view.submitted for view in third.replicas] == [1, 1]
    assert [third.replicas[1].submitted_within(seconds) for seconds in (8.75, 9.0)] == [0, 1]
    with pytest.raises(StopIteration) as end:
        questions.send([])
    assert end.value.value.requests["status"].tolist() == ["finished", "finished", "rejected"]
    assert end.value.value.requests["model"].tolist() == ["large", "small", ""]


def test_who_has_left_is_told_once_the_replicas_were_looked_at():
    left = []
    questions = begun(make_requests([0.0, 9.0], [4, 4], [8, 2]), left=left.append).questions()
    next(questions)
    second = questions.send([Leg(1)])
    assert left == []
    assert [view.jobs for view in second.replicas] == [0, 0]
    assert [(job.request.id, job.replica) for job in left] == [(0, 1)]
    assert 0.0 < left[0].finished < 9.0


def test_requests_may_be_endless_if_there_is_a_horizon():
    endless = (Request(number, 0.5 * number, 4, Truth(2)) for number in itertools.count())
    found = answered(begun(endless, horizon=5.0).questions(), To(0).route)
    assert found.requests["arrival"].tolist() == [
        0.5 * number for number in range(10)
    ]  # that of the instant is not in it


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (None, TypeError, "request 0: an answer is a sequence of legs, got None"),
        ([Leg(-1)], IndexError, "request 0 is sent to replica -1: there are 0 to 1"),
        ([Leg(2)], IndexError, "request 0 is sent to replica 2: there are 0 to 1"),
        ([Leg(0, prefill_only=True), Leg(7)], IndexError, "request 0 is sent to replica 0, 7: there are 0 to 1"),
        ([Leg(0, prefill_only=True), Leg(1)], ValueError, "request 0 is sent to small and then to large"),
    ],
)
def test_what_is_no_answer_is_refused(answer, error, words):
    questions = begun(make_requests([0.0], [4], [3])).questions()
    next(questions)
    with pytest.raises(error, match=words):
        questions.send(answer)


def test_each_model_gives_its_own_answer_and_it_is_predicted_so():
    requests = [Request(0, 0.0, 4, Truth(9, lengths={"small": 3}))]
    small, large = (simulate(requests, make_policy(routing=To(one)), BOTH, OraclePredictor()) for one in (0, 1))
    assert [one.requests["output_tokens"].tolist() for one in (small, large)] == [[3], [9]]
    assert [one.requests["predicted_tokens"].tolist() for one in (small, large)] == [[3.0], [9.0]]
    alone = simulate(make_requests([0.0], [4], [3]), make_policy(routing=To(0)), BOTH, OraclePredictor())
    assert plain(small) == plain(alone)


class Dear(OraclePredictor):
    """What it says takes 0.1 s a token; of a request without `lengths` it says what is no number."""

    def predict(self, request):
        told = super().predict(request)._replace(seconds=0.1 * request.truth.output_tokens)
        return told if request.truth.lengths else told._replace(length=self.again)

    again = 3.0


def test_what_was_charged_for_a_prediction_is_told_and_what_is_said_after_it_is_checked_too():
    requests = [Request(0, 0.0, 4, Truth(9, lengths={"small": 3}))]
    found = simulate(requests, make_policy(routing=To(0)), BOTH, Dear()).requests
    assert [found[name].tolist() for name in ("queued", "predictor_seconds")] == [[0.9], [0.9]] == [[0.1 * 9]] * 2
    wrong = type("Wrong", (Dear,), {"again": float("nan")})()
    with pytest.raises(ValueError, match="request 0: a prediction must be finite"):
        simulate(requests, make_policy(routing=To(0)), BOTH, wrong)


def test_a_simulation_is_gone_through_once_and_ends_after_its_start():
    run = begun(make_requests([0.0, 1.0], [4, 4], [3, 3]))
    next(run.questions())
    with pytest.raises(RuntimeError, match="gone through once"):
        next(run.questions())
    with pytest.raises(ValueError, match="horizon must be after the start, at 0 s, got 0"):
        begun([], horizon=0.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Truth(3, lengths={"small": 0}), "output_tokens of small must be at least 1, got 0"),
        (lambda: Truth(2, (1, 2), lengths={"small": 1}), "give no `lengths`"),
        (lambda: Request(7, 0.0, 1, Truth(2, lengths={"b": 5}), max_tokens=4), "request 7: output_tokens 5 exceed"),
    ],
)
def test_a_length_of_a_model_that_cannot_be_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_requests_wait_for_the_one_router():
    policy = make_policy(routing=To(0), overhead=Overhead(route_seconds=0.5))
    found = simulate(make_requests([0.0, 0.25, 9.0], [4, 4, 4], [2, 2, 2]), policy, BOTH, OraclePredictor()).requests
    assert found["routing_seconds"].tolist() == [0.5, 0.75, 0.5]
    assert found["queued"].tolist() == [0.5, 1.0, 9.5]
    cut = simulate(make_requests([0.0, 0.25], [4, 4], [99, 2]), policy, BOTH, OraclePredictor(), horizon=0.75).requests
    assert cut["routing_seconds"].tolist() == [0.5, 0.0]  # the second is with the router yet
    told = summary(found, 0.0)
    whole = (found["finished"] - found["arrival"]).sum()
    assert told["routing_share"] == pytest.approx(1.75 / whole)
    assert told["predicting_share"] == 0.0
