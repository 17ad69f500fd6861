"""Parts that know nothing of calls, on jobs that call out: the time of a call is neither service nor waiting."""

import dataclasses
import math

import pytest

from policies.batching.static import Static, waits_since
from policies.eviction.proactive import Proactive
from policies.eviction.reserve import Reserve
from policies.eviction.waiting_time import ByWaitingTime
from policies.order.aging import Aging
from policies.order.alise import Alise
from policies.order.execution_time import ExecutionTime
from policies.order.ltr import LTR, Turn
from policies.order.mlfq import MLFQ, Place
from policies.order.prefill_seconds import Tabled
from policies.order.skip_join import SkipJoin
from policies.order.skip_join_released import SkipJoinReleased, Spot
from sim import Hold, Keep, Pause, Prediction, Request, Truth
from sim.job import Job
from sim.policy import Load
from tests.policies.test_fastserve import at_level, decided
from tests.policies.test_guarded import guarded, waiting

MS = Tabled([1, 1000], [0.001, 1.0])
TIME = ExecutionTime(t0=0.25, alpha=0.125, beta=1.0)
NOTING = [
    (MLFQ(quantum=1.0, patience=3.0), 3.0),
    (SkipJoin(quantum=1.0, patience=3.0, prefill=MS), 3.0),
    (SkipJoinReleased(MS, quantum=8.0, patience=3.0, every=1), 3.0),
    (Alise(TIME, quantum=0.5, levels=4, patience=6.0), 6 * 0.5 * 2**3),
    (LTR(starvation=3), 3.0),
]  # an order, and how long one that has run a second waits until it is promoted: s, or steps, of which there is one a s


def caller(number=0) -> Job:
    """A job of 8 tokens and 9 more, that calls after 3 of those."""
    return Job(Request(number, 0.0, 8, Truth(9, pauses=(Pause(3, 60.0, 5),))), Prediction(9.0, 9.0))


@pytest.mark.parametrize("seconds", [0.0, 1.0, 60.0])
@pytest.mark.parametrize(("order", "patience"), NOTING, ids=[type(one).__name__ for one, _ in NOTING])
def test_a_note_takes_what_passes_in_a_call_as_nothing(order, patience, seconds):
    """One waits 1 s, runs 1 s, calls, waits: it is promoted when it has waited so long after the call, not before."""
    job = caller()

    def noted(now):
        job.note = order.note(job, now, int(now))

    noted(0.0)
    noted(1.0)
    job.admission = 1
    noted(2.0)
    job.admission, job.paused = 0, 2.0
    noted(2.0 + seconds)
    back = order.rank(job, 2.0 + seconds)
    job.paused = None
    assert back == order.rank(job, 2.0 + seconds)
    noted(1.0 + seconds + patience)
    assert order.rank(job, 1.0 + seconds + patience) == back
    noted(2.0 + seconds + patience)
    assert order.rank(job, 2.0 + seconds + patience) < back


@pytest.mark.parametrize("order", [one for one, _ in NOTING[:3]], ids=lambda one: type(one).__name__)
def test_a_quantum_is_not_used_up_by_a_call(order):
    order = dataclasses.replace(order, quantum=8.0)
    job = caller()
    job.note = order.note(job, 0.0, 0)
    job.admission = 1
    job.note = order.note(job, 7.5, 1)
    job.admission, job.paused = 0, 7.5
    job.note = order.note(job, 67.5, 1)
    job.paused, job.admission = None, 1
    assert (job.note.level, job.note.served) == (0, 7.5)
    assert order.stands(job, 67.5).instant == pytest.approx(68.0)


def test_what_a_note_is_after_a_call():
    job = caller()
    job.paused = 2.0
    job.note = Place(3, 1.0, 0.25, 0.0, 2.0)
    assert MLFQ().note(job, 500.0, 9) == Place(3, 1.0, 0.25, 0.0, 500.0)
    job.note = Spot(3, -2.0, 0.25, 1.5, 4, 2.0)
    assert SkipJoinReleased(MS).note(job, 500.0, 3000) == Spot(3, -2.0, 0.25, 499.5, 3000, 500.0)
    job.note = Turn(2, 7, 5, job.replica)
    assert LTR(starvation=4).note(job, 500.0, 3000) == Turn(2, 7, 3000, job.replica)


def test_a_call_is_not_waiting_that_ages():
    job = caller()
    job.call_seconds = 4.0
    assert Aging(weight=3.0).rank(job, 9.0) == 9.0 + 3.0 * 4.0


def test_what_calls_returned_counts_as_prompt_in_the_time_that_is_left():
    job = caller()
    job.base_emitted = 3
    job.call(1.0)
    job.resume(61.0)
    assert TIME.remaining(job) == 6 * (0.125 * (8 + 5) + 1.0)


def test_a_static_batch_waits_for_who_is_back_from_a_call_as_for_a_newcomer():
    back, new = waiting(1.0, 70.0)
    back.resumed = 69.0
    assert [waits_since(job) for job in (back, new)] == [69.0, 70.0]
    assert Static(3, max_wait=2.0).select((back, new), (), 70.5) == Hold(71.0)
    assert len(Static(3, max_wait=2.0).select((back, new), (), 71.0)) == 2


def test_nobody_starves_in_a_call():
    """By size the newcomer is first; the other is, if the time of its call is waiting."""
    new, back = shown = waiting(9.0, 4.0)
    assert [job.request.id for job in guarded(longest_wait=5.0).select(shown, (), 9.0)] == [1, 0]
    back.resumed = 8.0
    assert [job.request.id for job in guarded(longest_wait=5.0).select(shown, (), 9.0)] == [0, 1]
    assert guarded(longest_wait=5.0).select_stands(shown, 9.0) == 13.0
    assert guarded(Static(3, max_wait=2.0)).select((new, back), (), 9.0) == Hold(10.0)


def test_who_never_began_to_wait_is_named():
    with pytest.raises(ValueError, match="has not begun to wait"):
        waits_since(caller())


# Evictions that look ahead


@pytest.mark.parametrize("kind", [Reserve, Proactive])
def test_who_calls_out_is_not_of_the_next_batch_goes_to_the_host_first_and_does_not_come_back(kind):
    """The caller is the best by rank."""
    eviction = kind(SkipJoin(quantum=1.0, patience=20.0, prefill=MS), 4, 2)
    here, away = {"blocks": 3, "base_computed": 3}, {"host_tokens": 3, "base_emitted": 2}

    def jobs(**where):
        runs = at_level(1, 1, admission=1, blocks=3)
        return [runs, at_level(1, 2, **here), at_level(3, 3, **where), at_level(0, 0, paused=0.5, **where)]

    assert decided(eviction, jobs(**here), 3) == [(0, Keep.SWAP)]
    assert decided(eviction, jobs(**here), 0) == [(0, Keep.SWAP), (3, Keep.SWAP)]
    assert decided(eviction, jobs(**here), 0, host=2) == []
    assert decided(eviction, jobs(**away), 40) == [(3, Keep.KEEP)]
    assert decided(eviction, jobs(**away)[3:], 40) == []
    assert decided(eviction, jobs(**here)[3:], 3) == [(0, Keep.SWAP)]


def test_by_estimated_waiting_time_callers_go_first_and_do_not_come_back():
    def job(number, **fields):
        made = caller(number)
        for name, value in {"base_emitted": 2, **fields}.items():
            setattr(made, name, value)
        return made

    def moved(free, **where):
        runs = job(0, admission=1, blocks=1, base_computed=9)
        jobs = [runs, job(1, **where), job(2, **where), *(job(number, paused=1.0, **where) for number in (3, 4))]
        load = Load(free, 40, 1, block_size=16)
        review = ByWaitingTime(TIME, 0.25).review(jobs[1:], jobs, load, 4.0)
        return [one.request.id for one, _ in review.moves], review.steps

    assert moved(9, blocks=2) == ([4], 1)
    assert moved(5, blocks=2) == ([4, 3, 2], 1)
    assert moved(40, host_tokens=17) == ([1, 2], 1)
    eviction = ByWaitingTime(TIME, 0.25)
    calls = job(3, paused=1.0, host_tokens=17)
    jobs = [job(0, admission=1, base_computed=9), calls, job(5)]
    waits = eviction.waiting_times([calls], jobs, load := Load(40, 40, 1, block_size=16), 4.0)
    assert [one.request.id for one in waits] == [5]
    assert waits == dataclasses.replace(eviction, reserve=0.0).waiting_times([], [jobs[0], jobs[2]], load, 4.0) != {}
    assert eviction.review([calls], jobs[:2], load, 4.0) == ((), math.inf)
