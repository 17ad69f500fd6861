"""The running jobs by rank, against a look at each of them."""

import math
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from sim import Prediction, Request, Truth
from sim.engine.exchange import RankedRunning
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.moving import waiting_queue
from sim.job import Job
from sim.policy import FixedOrder, Order, Stands
from tests.cases import stable


@dataclass
class Shortest(FixedOrder):
    """By predicted length; `asked` counts the ranks."""

    asked: int = 0

    def rank(self, job, now):
        self.asked += 1
        return job.prediction.length


class Standing(Order):
    """Ranks that stand for as long as the job's features say."""

    def rank(self, job, now):
        return 0

    def stands(self, job, now):
        instant, tokens, steps = job.request.features
        return Stands(now + instant, tokens, steps)


@dataclass
class Anew(Order):
    """As `Shortest`, and says nothing of how long its ranks stand."""

    asked: int = 0
    rank = Shortest.rank


def make_job(number, length=1.0, features=()):
    return Job(Request(number, 0.0, 4, Truth(100), features=features), Prediction(length, 0.0))


def run(ranked, running, job, admission, now):
    job.admission = admission
    running[job] = None
    ranked.join(job, now)


lengths = st.integers(0, 4).map(float)


@stable
@given(st.lists(lengths, min_size=1, max_size=6), st.lists(lengths, max_size=8))
@example([4.0, 4.0, 4.0], [3.0, 2.0, 3.0])
def test_the_outranked_is_the_worst_of_those_that_ran_before_the_step_and_each_is_ranked_once(here, coming):
    order, running = Shortest(), {}
    queue = waiting_queue(order, Continuous())
    ranked = RankedRunning(queue, running, Lockstep(KVCache(1, 1)))
    for number, length in enumerate(here):
        run(ranked, running, make_job(number, length), number + 1, 0.0)
    ranked.begin(1.0, len(here))
    order.asked = 0
    for number, length in enumerate(coming, len(here)):
        incoming = make_job(number, length)
        queue.push(incoming, 1.0)
        old = [job for job in running if job.admission <= len(here)]
        worst = max(old, key=lambda job: (job.prediction.length, job.request.id), default=None)
        victim = ranked.outranked(incoming)
        assert victim is (worst if worst is not None and length < worst.prediction.length else None)
        if victim is not None:
            del running[victim]
            victim.admission = 0
        queue.remove(incoming, 1.0)
        run(ranked, running, incoming, number + 1, 1.0)
    assert order.asked <= len(here) + 3 * len(coming)  # as it waits, as it runs, and once for those that run by then


spans = st.tuples(
    st.sampled_from([1.5, 3.0, math.inf]), st.sampled_from([1, 2.5, 4, math.inf]), st.sampled_from([1, 3, math.inf])
)
happenings = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 9)), max_size=25)


@stable
@given(st.lists(spans, min_size=1, max_size=5), happenings)
def test_ranks_are_asked_anew_when_one_stands_no_longer_and_not_before(standing, happenings):
    running, jobs = {}, [make_job(number, features=span) for number, span in enumerate(standing)]
    queue = waiting_queue(Standing(), Continuous())
    ranked, now, due = RankedRunning(queue, running, Lockstep(KVCache(1, 1))), 0.0, {}

    def expect(job):
        instant, tokens, steps = job.request.features
        due[job] = now + instant, job.emitted + tokens, queue.steps + steps

    for number, job in enumerate(jobs):
        run(ranked, running, job, number + 1, now)
        expect(job)
    for leaves, who, silent in happenings:
        queue.steps, now = queue.steps + 1, now + 1.0
        for number, job in enumerate(running):
            job.base_emitted += number != silent
        if leaves and who < len(jobs):
            running.pop(jobs[who], None)
        ends = [
            job for job in running if due[job][0] <= now or due[job][1] <= job.emitted or due[job][2] <= queue.steps
        ]
        assert ranked.refresh(now) is bool(ends)
        for job in ends:
            expect(job)
        assert all(ranked.until <= due[job][0] for job in running)
        assert all(ranked.lasts <= min(due[job][1] - job.emitted, due[job][2] - queue.steps) for job in running)


def test_ranks_of_which_nothing_is_said_are_asked_for_once_a_step_though_it_is_planned_twice():
    order, running = Anew(), {}
    queue = waiting_queue(order, Continuous())
    ranked = RankedRunning(queue, running, Lockstep(KVCache(1, 1)))
    for number in range(3):
        run(ranked, running, make_job(number), number + 1, 0.0)
    for step in (1, 2):
        queue.steps, order.asked, queue.ranked = step, 0, 0
        assert ranked.refresh(float(step))
        assert not ranked.refresh(step + 0.5)  # blocks were on their way: the same step is planned again
        assert order.asked == queue.ranked == 3
