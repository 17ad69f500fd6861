"""The waiting queue against a sorted list."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Prediction, Request, Truth
from sim.engine.queue import WaitingQueue
from sim.job import Job
from sim.policy import Order
from tests.cases import stable


@dataclass(frozen=True)
class Drifting(Order):
    """Ranks that start at the predicted length, and fall at a pace of each job's own."""

    horizon: float

    def rank(self, job, now):
        return job.prediction.length - now * job.prediction.uncertainty


class Plain(Order):
    """Says nothing of how long its ranks stand."""

    def rank(self, job, now):
        return now


ranks = st.integers(0, 4).map(float)
pushes = st.tuples(st.just("push"), ranks, ranks, st.integers(0, 2))
removals = st.tuples(st.just("remove"), st.integers(0, 4))
actions = st.lists(pushes | pushes | removals | st.just(("step",)) | st.just(("refresh",)), max_size=40)


@stable
@given(actions, st.integers(1, 5), st.sampled_from([1.0, 3.0, math.inf]))
def test_it_shows_the_first_of_a_sorted_list(actions, window, horizon):
    """A rank is that of when the job came, until all ranks are computed anew: every `horizon` steps, if asked."""
    order = Drifting(horizon)
    queue = WaitingQueue(order, window)
    model, ranked, now, last = [], 0, 0.0, -1
    for number, (action, *values) in enumerate(actions):
        if action == "push":
            length, pace, arrival = values
            job = Job(Request(number, float(arrival), 1, Truth(1)), Prediction(length, pace))
            queue.push(job, now)
            model.append((order.rank(job, now), job.request.arrival, number, job))
            ranked += 1
        elif action == "remove" and model:
            model.sort()
            job = model.pop(values[0] % min(window, len(model)))[3]
            queue.remove(job)
        elif action == "step":
            queue.steps += 1
            now += 0.5
        elif action == "refresh" and model:
            queue.refresh(now)
            if queue.steps >= last + horizon:
                last = queue.steps
                model = [(order.rank(job, now), arrival, number, job) for _, arrival, number, job in model]
                ranked += len(model)
        model.sort()
        assert queue.head() == tuple(entry[3] for entry in model[:window])
        assert [entry[3] for entry in queue.front] == list(queue.head())
        assert (len(queue), queue.ranked) == (len(model), ranked)


def test_ranks_stand_for_the_horizon_of_the_order_or_for_one_step():
    for order, steps in ((Drifting(3.0), 3), (Plain(), 1)):
        queue = WaitingQueue(order, 1)
        queue.push(Job(Request(0, 0.0, 1, Truth(1)), Prediction(1.0, 1.0)), 0.0)
        queue.steps = 10
        queue.refresh(0.0)
        assert queue.lasts == steps
        queue.steps += steps - 1
        queue.refresh(1.0)
        assert queue.ranked == 2
        queue.steps += 1
        queue.refresh(2.0)
        assert queue.ranked == 3
        assert queue.lasts == steps


@pytest.mark.parametrize("window", [1, 2])
def test_ranks_that_stand_for_ever_are_never_computed_again(window):
    queue = WaitingQueue(Drifting(math.inf), window)
    assert queue.fixed
    jobs = [Job(Request(number, 0.0, 1, Truth(1)), Prediction(5.0 - number, 9.0)) for number in range(4)]
    for job in jobs:
        queue.push(job, 0.0)
    queue.steps += 1000
    queue.refresh(1000.0)
    assert queue.ranked == 4
    assert queue.head() == tuple(jobs[::-1][:window])
