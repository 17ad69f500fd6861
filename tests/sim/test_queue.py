"""The waiting queue against a sorted list."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Prediction, Request, RequestLevel, Truth
from sim.engine.moving import waiting_queue
from sim.foregone import Unselective
from sim.job import Job
from sim.policy import ALWAYS, FixedOrder, Order, Stands
from tests.cases import Promoting, stable


class Showing(Unselective):
    """A batching that sees so many at a time."""

    def __init__(self, window: int) -> None:
        self.execution = RequestLevel(1, window)


@dataclass(frozen=True)
class Drifting(Order):
    """Ranks that start at the predicted length, fall at a pace of each job's own, and are said to stand for a while."""

    lasts: Stands

    def rank(self, job, now):
        return job.prediction.length - now * job.prediction.uncertainty

    def stands(self, job, now):
        return Stands(now + self.lasts.instant, steps=self.lasts.steps)


class Lasting(Drifting, FixedOrder):
    pass


class Plain(Order):
    """Says nothing of how long its ranks stand."""

    def rank(self, job, now):
        return now


ranks = st.integers(0, 4).map(float)
pushes = st.tuples(st.just("push"), ranks, ranks, st.integers(0, 2))
removals = st.tuples(st.just("remove"), st.integers(0, 4))
actions = st.lists(pushes | pushes | removals | st.just(("step",)) | st.just(("refresh",)), max_size=40)


lasting = st.sampled_from([Stands(steps=1), Stands(steps=3), Stands(0.5), Stands(1.7), Stands(1.2, steps=2), ALWAYS])


@stable
@given(actions, st.integers(1, 5), lasting, st.booleans())
def test_it_shows_the_first_of_a_sorted_list(actions, window, lasts, fixed):
    """A rank is that of when the job came, until it stands no longer and somebody asks."""
    order = Lasting(ALWAYS) if fixed else Drifting(lasts)
    queue = waiting_queue(order, Showing(window))
    assert queue.moves is not fixed
    model, ranked, now = {}, 0, 0.0
    for number, (action, *values) in enumerate(actions):
        if action == "push":
            length, pace, arrival = values
            job = Job(Request(number, float(arrival), 1, Truth(1)), Prediction(length, pace))
            queue.push(job, now)
            due = now + order.lasts.instant, queue.steps - 1 + order.lasts.steps
            model[job] = (order.rank(job, now), arrival, number), *due
            ranked += 1
        elif action == "remove" and model:
            job = sorted(model, key=model.get)[values[0] % min(window, len(model))]
            del model[job]
            queue.remove(job, now)
        elif action == "step":
            queue.steps += 1
            now += 0.5
        elif action == "refresh":
            queue.refresh(now)
            for job, ((_, arrival, identity), instant, step) in model.items():
                if instant <= now or step <= queue.steps:
                    due = now + lasts.instant, queue.steps + lasts.steps
                    model[job] = (order.rank(job, now), arrival, identity), *due
                    ranked += 1
        assert queue.head() == tuple(sorted(model, key=model.get)[:window])
        assert [entry[3] for entry in queue.front] == list(queue.head())
        assert (len(queue), queue.ranked) == (len(model), ranked)
        assert queue.until == min((instant for _, instant, _ in model.values()), default=math.inf)
        assert queue.lasts == min((step for *_, step in model.values()), default=math.inf) - queue.steps


def test_ranks_stand_as_long_as_the_order_says_or_for_one_step():
    for order, steps in ((Drifting(Stands(steps=3)), 3), (Plain(), 1)):
        queue = waiting_queue(order, Showing(1))
        queue.steps = 10
        queue.push(Job(Request(0, 0.0, 1, Truth(1)), Prediction(1.0, 1.0)), 0.0)
        assert queue.lasts == steps - 1  # the tenth is under way
        for now, ranked in ((1.0, 2), (2.0, 3)):
            queue.steps += int(queue.lasts) - 1
            queue.refresh(now)
            assert queue.ranked == ranked - 1
            queue.steps += 1
            queue.refresh(now)
            assert queue.ranked == ranked
            assert queue.lasts == steps


def test_ranks_of_many_of_which_few_move_are_computed_anew_for_those():
    queue = waiting_queue(Promoting(10.0), Showing(2))
    jobs = [Job(Request(number, float(number), 1, Truth(1)), Prediction(50.0 - number, 9.0)) for number in range(40)]
    for job in jobs:
        queue.push(job, job.request.arrival)
    assert queue.ranked == 40
    assert queue.until == 10.0
    queue.refresh(12.0)
    assert queue.ranked == 43
    assert queue.head() == (jobs[2], jobs[1])
    queue.refresh(12.5)
    assert queue.ranked == 43


@pytest.mark.parametrize("lasts", [Stands(0.0), Stands(math.nan), Stands(steps=0), Stands(steps=0.5)])
def test_a_rank_that_stands_for_no_time_is_refused(lasts):
    job = Job(Request(7, 0.0, 1, Truth(1)), Prediction(1.0, 1.0))
    with pytest.raises(RuntimeError, match=r"Drifting.stands: the rank of Job\(id=7, .* at 3.0 s is to stand until"):
        waiting_queue(Drifting(lasts), Showing(1)).push(job, 3.0)


@pytest.mark.parametrize("window", [1, 2])
def test_ranks_that_stand_for_ever_are_never_computed_again(window):
    queue = waiting_queue(Lasting(ALWAYS), Showing(window))
    jobs = [Job(Request(number, 0.0, 1, Truth(1)), Prediction(5.0 - number, 9.0)) for number in range(4)]
    for job in jobs:
        queue.push(job, 0.0)
    queue.steps += 1000
    queue.refresh(1000.0)
    assert queue.ranked == 4
    assert queue.head() == tuple(jobs[::-1][:window])
