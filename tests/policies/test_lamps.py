"""LAMPS: scores and handling of jobs worked by hand, starvation, scores kept for some steps, its predictors."""

from __future__ import annotations

import math

import pytest

from policies.eviction.lamps import CallWaste, Wastes
from policies.eviction.lamps import Lamps as Handling
from policies.eviction.lamps_released import LampsReleased as HandlingReleased
from policies.order.lamps import Lamps
from policies.order.lamps_released import LampsReleased
from policies.order.memory_time import MemoryTime
from policies.predictor.calls import CallErrors, fit_call_classes
from policies.predictor.oracle import OraclePredictor
from sim import Cause, Keep, Pause, Request, Truth
from sim.job import Job
from sim.policy import Load

LOAD = Load(900, 900, 20, block_size=64, running_tokens=10_000, pending_tokens=84)  # 300 of 384 tokens are left


def made(prompt: int, output: int, *pauses: Pause, foreseen: Keep | None = None) -> Job:
    request = Request(7, 1.5, prompt, Truth(output, pauses=pauses))
    job = Job(request, OraclePredictor().predict(request))
    job.foreseen = foreseen
    return job


def back(job: Job, *, kept: bool = False, host: int = 0) -> Job:
    """`job` back from its next call, with its KV or without."""
    job.base_emitted = job.ends_at
    job.call(2.0)
    job.resume(3.0)
    job.base_computed, job.host_tokens = (job.context - 1) * kept, host
    return job


MATH = made(400, 150, Pause(100, 9e-5, 20), foreseen=Keep.KEEP)
CHAT = made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.DROP)
QUESTION = made(1000, 300, Pause(200, 2.0, 80), foreseen=Keep.SWAP)
PLAIN = made(300, 200)
SECOND = back(made(500, 800, Pause(60, 1.0, 40), Pause(160, 0.7, 57)))
SECOND.foreseen = Keep.DROP

# A step of 384 tokens takes 384 * 1e-4 + 0.01 = 0.0484 s. b blocks of 64 tokens take n = ceil(b / 6) steps, and
# 0.0484 * 384 * n (n + 1) / 2 token-seconds: 18.5856, 55.7568, 111.5136, 185.856 for n = 1, 2, 3, 4.
SCORES = {
    # 400 + 100 tokens are 8 blocks (n = 2), the call holds 512 tokens for 9e-5 s, 50 + 20 tokens are 2 blocks (n = 1)
    "math": (MATH, 55.7568 + 0.04608 + 18.5856),
    # 120 + 100 tokens are 4 blocks (n = 1), computed anew with 600 + 40 tokens (10 blocks): 14 blocks (n = 3)
    "chat": (CHAT, 18.5856 + 111.5136),
    # 1000 + 200 tokens are 19 blocks (n = 4), which move as 19 * 9.5 / 2 = 90.25, twice; 2 s on the host; 3 blocks
    "question": (QUESTION, 185.856 + 90.25 + 0.2 + 90.25 + 18.5856),
    # 300 + 200 tokens are 8 blocks (n = 2), and nothing else
    "plain": (PLAIN, 55.7568),
    # 500 + 60 + 40 + 100 tokens are 11 blocks (n = 2), computed anew with 640 + 57 tokens (11 blocks): 22 (n = 4)
    "second": (SECOND, 55.7568 + 185.856),
}
RELEASED = {
    # as many tokens follow the call as precede it: 100 + 20 are 2 blocks too
    "math": (MATH, 55.7568 + 0.04608 + 18.5856),
    # 100 + 40 tokens are 3 blocks: 7 (n = 2)
    "chat": (CHAT, 18.5856 + 55.7568),
    # 200 + 80 tokens are 5 blocks (n = 1) as well
    "question": (QUESTION, 185.856 + 90.25 + 0.2 + 90.25 + 18.5856),
    # its 200 tokens (4 blocks, n = 1) are counted twice
    "plain": (PLAIN, 55.7568 + 18.5856),
    # 500 + 100 tokens are 10 blocks (n = 2), with 100 + 57 tokens (3 blocks) 13 (n = 3)
    "second": (SECOND, 55.7568 + 111.5136),
}


@pytest.mark.parametrize("name", SCORES)
def test_scores_worked_by_hand(name):
    job, score = SCORES[name]
    assert Lamps().score(job) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("name", RELEASED)
def test_released_scores_worked_by_hand(name):
    job, score = RELEASED[name]
    assert LampsReleased().score(job) == pytest.approx(score, abs=1e-9)


# A whole step takes 384 * 4.08e-5 + 0.01692 = 0.0325872 s to compute, 384 * 1.81e-4 + 0.0225 = 0.092004 s with copies.
WASTES = {
    # 512 tokens: 2 parts of 300, the last of 212
    "math": (
        512 * 9e-5,
        0.0325872 * 2 * 1 / 2 * 300 + 4.08e-5 * 300 * 1 * 10_000 + 4.08e-5 * 212 * 10_212,  # 220.5058752
        0.092004 * 1 * 512 + 1.36e-4 * 300 * 1 * 10_000 * 2,  # 863.106048
        Keep.KEEP,
    ),
    # 256 tokens in one part, and the copy counts one
    "chat": (256 * 28.0, 4.08e-5 * 256 * 10_256, 0.092004 * 1 * 256 + 1.36e-4 * 300 * 1 * 10_000 * 2, Keep.DROP),
    # 1216 tokens: 5 parts, the last of 16
    "question": (
        1216 * 2.0,
        0.0325872 * 5 * 4 / 2 * 300 + 4.08e-5 * 300 * 4 * 10_000 + 4.08e-5 * 16 * 10_016,  # 593.9000448
        0.092004 * 4 * 1216 + 1.36e-4 * 300 * 4 * 10_000 * 2,  # 3711.507456
        Keep.DROP,
    ),
    # 704 tokens: 3 parts, the last of 104
    "second": (
        704 * 0.7,
        0.0325872 * 3 * 2 / 2 * 300 + 4.08e-5 * 300 * 2 * 10_000 + 4.08e-5 * 104 * 10_104,  # 317.0017728
        0.092004 * 2 * 704 + 1.36e-4 * 300 * 2 * 10_000 * 2,
        Keep.DROP,
    ),
}


@pytest.mark.parametrize("name", WASTES)
def test_handling_worked_by_hand(name):
    job, (*wastes, keep) = SCORES[name][0], WASTES[name]
    assert Handling().wastes(job, job.calls, LOAD) == pytest.approx(Wastes(*wastes), abs=1e-9)
    assert Handling().foresee(job, LOAD, 0.0) is keep


def test_the_fifth_calls_nobody_and_the_released_context_is_the_prompt_and_what_came_since_the_last_call():
    assert Handling().foresee(PLAIN, LOAD, 0.0) is Keep.KEEP
    # 500 + 100 tokens are 640 in blocks: 3 parts, the last of 40
    assert HandlingReleased().wastes(SECOND, 1, LOAD).keep == pytest.approx(640 * 0.7)
    assert HandlingReleased().wastes(SECOND, 1, LOAD).drop == pytest.approx(29.32848 + 244.8 + 4.08e-5 * 40 * 10_040)


@pytest.mark.parametrize("tokens", [1, 64, 200, 384, 1000, 2048])
@pytest.mark.parametrize(("running", "pending"), [(0, 0), (5_000, 30), (50_000, 200), (57_000, 600)])
def test_with_its_own_constants_lamps_never_swaps(tokens, running, pending):
    load = LOAD._replace(running_tokens=running, pending_tokens=pending)
    assert all(CallWaste().wastes(tokens, seconds, load).least() is not Keep.SWAP for seconds in (1e-4, 0.7, 60.0))
    assert Wastes(3.0, 2.0, 1.0).least() is Keep.SWAP


def test_back_from_the_last_call_a_score_counts_what_is_to_be_done_yet():
    pause = Pause(100, 28.0, 40)  # 120 + 700 + 40 tokens are 14 blocks (n = 3), 600 left are 10 (n = 2), 220 are 4
    assert Lamps().score(back(made(120, 700, pause))) == pytest.approx(111.5136)
    assert Lamps().score(back(made(120, 700, pause), kept=True)) == pytest.approx(55.7568)
    assert Lamps().score(back(made(120, 700, pause), host=219)) == pytest.approx(4.0 + 55.7568)
    # released: prompt and 600 tokens are 12 blocks (n = 2), as many follow: 10 (n = 2); together 22 (n = 4)
    assert LampsReleased().score(back(made(120, 700, pause))) == pytest.approx(185.856)
    assert LampsReleased().score(back(made(120, 700, pause), host=219)) == pytest.approx(12 * 6.0 / 2 + 55.7568)


def test_what_foresees_nothing_is_taken_to_keep_and_a_prediction_that_was_short_by_what_came():
    job = made(400, 150, Pause(100, 2.0, 20))
    assert Lamps().score(job) == pytest.approx(55.7568 + 1024.0 + 18.5856)
    job.base_emitted = 149  # 549 tokens are 9 blocks (n = 2); 1 + 20 to come
    assert Lamps().score(job) == pytest.approx(55.7568 + 2 * 576 + 18.5856)


# Places


def noted(order: Lamps, job: Job, steps: int) -> Job:
    job.note = order.note(job, 0.0, steps)
    return job


def test_who_waits_for_the_threshold_is_in_front_a_step_later_and_for_the_quantum():
    order, job = Lamps(starvation=10, quantum=5), noted(Lamps(), made(300, 200), 3)
    assert order.stands(job, 0.0).steps == 11
    noted(order, job, 13)
    assert (order.rank(job, 0.0)[0], order.stands(job, 0.0).steps) == (0.0, 1)
    noted(order, job, 14)
    assert (order.rank(job, 0.0)[0], order.stands(job, 0.0).steps) == (-1.0, 5)
    assert order.rank(noted(order, job, 18), 0.0)[0] == -1.0
    assert order.rank(noted(order, job, 19), 0.0)[0] == 0.0
    assert order.note(noted(order, job, 19), 0.0, 19 + 11 + 5 + 11).left == 5  # as often as it takes


def test_a_job_that_runs_has_waited_no_step_in_a_row_and_its_time_in_front_goes_on():
    order, job = Lamps(starvation=10, quantum=5), noted(Lamps(), made(300, 200), 0)
    noted(order, job, 9)
    job.admission = 1
    assert noted(order, job, 12).note.idle == 0
    assert order.rank(job, 0.0) == (-2.0, 1.5)
    job.admission = 0
    noted(order, job, 12 + 11)
    job.admission = 1
    assert noted(order, job, 12 + 11 + 3).note.left == 2
    job.admission = 0
    job.paused = 4.0  # a call is neither
    assert noted(order, job, 1000).note.left == 2
    assert order.rank(job, 0.0)[0] == 1.0


def test_nobody_starves_without_a_threshold_and_as_released_no_newcomer_does():
    for order in (Lamps(starvation=None), LampsReleased(starvation=10)):
        job = noted(order, made(300, 200), 0)
        assert order.stands(job, 0.0).steps == float("inf")
        assert noted(order, job, 5000).note.left == 0
    job.first_scheduled = 0.5
    assert noted(order, job, 5011).note.left == order.quantum
    job.host_tokens = 60
    job.note = job.note._replace(left=0)
    assert noted(order, job, 6000).note.left == 0


def test_who_is_back_with_its_kv_goes_before_all_that_wait_by_arrival():
    order = Lamps()
    job = back(noted(order, made(120, 700, Pause(100, 28.0, 40)), 0), kept=True)
    assert order.rank(noted(order, job, 1), 0.0) == (-2.0, 1.5)
    assert order.rank(noted(order, back(made(120, 700, Pause(100, 28.0, 40))), 1), 0.0)[0] == 0.0


def test_scores_are_made_anew_in_every_so_many_steps_alone():
    order = Lamps(starvation=None, skip=9)
    job = noted(order, made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.DROP), 3)
    first = order.rank(job, 0.0)[1]
    assert first == pytest.approx(18.5856 + 111.5136)
    noted(order, back(job), 14)
    assert (order.rank(job, 0.0)[1], order.stands(job, 0.0).steps) == (pytest.approx(111.5136), float("inf"))

    job = back(noted(order, made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.DROP), 11))
    noted(order, job, 14)
    assert (order.rank(job, 0.0)[1], order.stands(job, 0.0).steps) == (first, 6)
    assert order.rank(noted(order, job, 19), 0.0)[1] == first
    assert order.rank(noted(order, job, 20), 0.0)[1] == pytest.approx(111.5136)


def test_a_newcomer_is_scored_anew_when_its_handling_has_been_foreseen_and_not_later():
    order, job = Lamps(skip=9), noted(Lamps(), made(120, 700, Pause(100, 28.0, 40)), 3)
    assert job.note.score == pytest.approx(18.5856 + 256 * 28 + 55.7568)
    job.foreseen = Keep.DROP
    assert noted(order, job, 3).note.score == pytest.approx(18.5856 + 111.5136)
    job.foreseen = Keep.SWAP
    assert noted(order, job, 9).note.score == pytest.approx(18.5856 + 111.5136)


def test_as_released_a_newcomer_goes_first_until_all_scores_are_made():
    order = LampsReleased(skip=9)
    job = noted(order, made(300, 200), 3)
    assert (order.rank(job, 0.0), order.stands(job, 0.0).steps) == ((0.0, -1.0), 7)
    assert order.rank(noted(order, job, 10), 0.0)[1] == pytest.approx(RELEASED["plain"][1])
    assert LampsReleased().rank(noted(LampsReleased(), made(300, 200), 3), 0.0)[1] == pytest.approx(74.3424)


# What becomes of KV


def test_at_a_call_is_done_what_was_foreseen_as_far_as_the_host_has_room():
    job = made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.SWAP)
    job.blocks = 4
    full = LOAD._replace(free_on_host=3)
    assert Handling().on_stop(job, Cause.PAUSE, LOAD, 0.0) is Keep.SWAP
    assert Handling().on_stop(job, Cause.PAUSE, full, 0.0) is Keep.KEEP
    assert Handling().on_stop(job, Cause.PRESSURE, LOAD, 0.0) is Keep.SWAP
    assert Handling().on_stop(job, Cause.PRESSURE, full, 0.0) is Keep.DROP
    job.foreseen = None
    assert Handling().on_stop(job, Cause.PAUSE, LOAD, 0.0) is Keep.KEEP
    assert HandlingReleased().on_stop(CHAT, Cause.PAUSE, LOAD, 0.0) is Keep.KEEP
    assert HandlingReleased().on_stop(CHAT, Cause.PRESSURE, LOAD, 0.0) is Keep.DROP


def paused(job: Job) -> Job:
    job.base_emitted = job.base_computed = job.ends_at
    job.blocks = 4
    job.call(2.0)
    return job


def test_as_released_all_is_done_but_for_the_largest_waste():
    small = paused(made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.DROP))  # 107.12
    large = paused(made(1000, 300, Pause(200, 2.0, 80), foreseen=Keep.DROP))  # 593.90
    kept = paused(made(400, 150, Pause(100, 9e-5, 20), foreseen=Keep.KEEP))
    swapped = paused(made(120, 700, Pause(100, 28.0, 40), foreseen=Keep.SWAP))  # 839.55
    released, jobs = HandlingReleased(), (small, large, kept)
    assert released.review(jobs, jobs, LOAD, 3.0).moves == [(small, Keep.DROP)]
    assert released.review((large,), (large,), LOAD, 3.0).moves == []
    dearest = paused(made(2000, 300, Pause(200, 2.0, 80), foreseen=Keep.DROP))
    assert released.review((swapped, dearest), (swapped, dearest), LOAD, 3.0).moves == [(swapped, Keep.SWAP)]
    assert released.review((swapped, dearest), (dearest,), LOAD._replace(free_on_host=3), 3.0).moves == []


def test_as_released_kv_on_the_host_is_dropped_where_nobody_else_waits():
    one, other = (back(made(120, 700, Pause(100, 28.0, 40)), host=219) for _ in range(2))
    released = HandlingReleased()
    assert released.review((one, other), (one, other), LOAD, 3.0) == ([(one, Keep.DROP)], 1)
    assert released.review((one,), (one, PLAIN), LOAD, 3.0) == ([], math.inf)


# Predictors


def request(task: str | None = None) -> Request:
    return Request(7, 1.5, 500, Truth(800, pauses=(Pause(60, 2.0, 40), Pause(163, 0.7, 57))), task=task)


def test_without_errors_the_next_call_and_the_end_are_as_they_are():
    predictor = CallErrors(0.0, 0.0, 0.0, seed=0, seconds=0.0137)
    first = predictor.predict(request())
    assert (first.length, first.seconds, first.pauses) == (800.0, 0.0137, ((60, 2.0, 40),))
    assert predictor.renew(request(), first, 1).pauses == ((60, 2.0, 40), (163, 0.7, 57))
    assert predictor.renew(request(), first, 2)[:1] == (800.0,)
    assert predictor.renew(request(), first, 2).pauses == OraclePredictor().predict(request()).pauses


def test_errors_are_as_large_as_they_are_to_be_each_of_its_own():
    def relative(**errors: float) -> list[list[float]]:
        predictor = CallErrors(
            **{"length_error": 0.0, "duration_error": 0.0, "response_error": 0.0, **errors}, seed=3, seconds=0
        )
        said = [predictor.predict(Request(number, 0.0, 500, request().truth)).pauses[0] for number in range(2000)]
        return [
            [one / true - 1 for one in column]
            for column, true in zip(zip(*said, strict=True), (60, 2.0, 40), strict=True)
        ]

    for name, number in (("length_error", 0), ("duration_error", 1), ("response_error", 2)):
        columns = relative(**{name: 0.2})
        assert [any(column) for column in columns] == [other == number for other in range(3)]
        own = columns[number]
        assert abs(sum(own) / 2000) < 3 * 0.2 / 2000**0.5
        assert (sum(one * one for one in own) / 2000) ** 0.5 == pytest.approx(0.2, rel=0.06)
    assert min(relative(length_error=2.0)[0]) == pytest.approx(1 / 60 - 1)
    assert min(relative(duration_error=2.0)[1]) == pytest.approx(5e-10 - 1)


def test_classes_say_their_middle_and_kinds_their_means():
    training = [request("chat"), Request(8, 0.0, 9, Truth(30, pauses=(Pause(9, 1.5, 10),)), task="qa")]
    predictor = fit_call_classes(training, [], classes=50, width=10.0, seconds=0.0137)
    said = predictor.predict(request("qa"))
    assert said.pauses == ((65.0, 1.5, 10.0),)
    assert said.length == 65.0 + 495.0  # 740 tokens are beyond the last class
    assert predictor.predict(request("chat")).pauses[0][1:] == (1.35, 48.5)
    assert predictor.predict(request("other")).pauses[0][1:] == pytest.approx((1.4, 107 / 3))
    assert predictor.renew(request("qa"), said, 1).pauses == ((60, 2.0, 40), (60 + 105.0, 1.5, 10.0))
    with pytest.raises(ValueError, match="request 7 calls out, and none did"):
        fit_call_classes([], [], classes=50, width=10.0, seconds=0.0).predict(request())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: Lamps(starvation=0), "starvation must be at least 1 step, got 0"),
        (lambda: Lamps(quantum=0), "quantum must be at least 1 step, got 0"),
        (lambda: Lamps(skip=-1), "skip must not be negative, got -1"),
        (lambda: MemoryTime(chunk=0), "chunk must be positive, got 0"),
        (lambda: MemoryTime(fixed_seconds=-1.0), "fixed_seconds must not be negative, got -1.0"),
        (lambda: CallWaste(chunk=0), "chunk must be at least 1 token, got 0"),
        (lambda: CallWaste(swap_fixed_seconds=-1.0), "swap_fixed_seconds must not be negative, got -1.0"),
        (lambda: CallErrors(-0.1, 0.0, 0.0, 0, 0.0), "length_error must be finite and not negative, got -0.1"),
        (lambda: fit_call_classes([], [], classes=0, width=1.0, seconds=0.0), "classes must be positive, got 0"),
    ],
)
def test_what_is_no_setting_is_named(part, message):
    with pytest.raises(ValueError, match=message):
        part()
