"""Jobs that decode in lockstep, when their steps end, and events at absolute instants: each against brute force."""

import itertools
import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim import Line, Prediction, Request, Truth
from sim.engine.clock import LATE, Clock
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.stretch import Stretch
from sim.job import Job
from tests.cases import stable


def job(number, prompt, output, emitted=0, padding=0):
    """A job of which one token is pending, so many having been emitted."""
    made = Job(Request(number, 0.0, prompt, Truth(output)), Prediction(1.0, 1.0))
    made.admission, made.padding, made.base_emitted = number, padding, emitted
    made.base_computed = made.context - 1
    return made


joins = st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(0, 3), st.integers(0, 2))
actions = st.lists(joins | st.integers(1, 7) | st.sampled_from(["leave", "dissolve"]), max_size=25)


@stable
@given(actions)
def test_progress_is_a_token_a_tick_for_each_until_it_leaves(actions):
    lockstep, sampled, outside = Lockstep(KVCache(1, 1)), {}, {}
    reported, numbers = [], itertools.count()
    for action in actions:
        if isinstance(action, tuple):
            prompt, output, emitted, padding = action
            new = job(next(numbers), prompt, emitted + output, emitted + 1, padding)
            lockstep.join(new)
            sampled[new] = emitted + 1
        elif isinstance(action, int):
            lockstep.advance(action)
            sampled = {one: tokens + action for one, tokens in sampled.items()}
        elif action == "dissolve":
            gone = [one for one in sampled if one not in reported]
            lockstep.dissolve()
            for one in gone:
                outside[one] = sampled.pop(one)
        else:
            ended = lockstep.ended()
            due = [one for one, tokens in sampled.items() if tokens >= one.request.truth.output_tokens]
            assert sorted(ended, key=lambda one: one.admission) == due
            for one in ended:
                lockstep.leave(one)
                outside[one] = sampled.pop(one)
            reported += ended
        assert lockstep.rows == len(sampled)
        assert lockstep.context == sum(
            one.request.prompt_tokens + one.padding + tokens for one, tokens in sampled.items()
        )
        for one, tokens in (*sampled.items(), *outside.items()):
            assert one.emitted == min(tokens, one.request.truth.output_tokens)
            assert one.complete == (tokens >= one.request.truth.output_tokens)
        for one, tokens in sampled.items():
            assert one.context == one.request.prompt_tokens + one.padding + tokens
            assert (one.computed, one.pending) == (one.context - 1, 1)
    assert len(set(reported)) == len(reported)


def test_jobs_that_end_at_one_tick_are_reported_in_the_order_of_admission():
    lockstep = Lockstep(KVCache(1, 1))
    jobs = {number: job(number, 1, 5, emitted=1) for number in (3, 1, 2)}
    for one in jobs.values():
        lockstep.join(one)
    lockstep.advance(3)
    assert lockstep.ended() == []
    lockstep.advance(1)
    assert lockstep.ended() == [jobs[1], jobs[2], jobs[3]]
    assert lockstep.ended() == []


# When the steps of a stretch end

seconds = st.floats(1e-6, 1.0)
prices = st.just(0.0) | st.floats(1e-9, 1e-2)
stretches = st.builds(
    lambda start, jobs, longer, base, slope: Stretch(start, jobs, jobs + longer, Line(base, slope, math.inf)),
    st.floats(0, 1e5), st.integers(1, 500), st.integers(0, 10**5), seconds, prices,
)  # fmt: skip


@stable
@given(stretches, st.integers(1, 5000))
def test_the_instant_at_which_so_many_steps_end_tells_how_many_they_are(stretch, steps):
    end = stretch.end(steps)
    count, ends = stretch.steps_by(end)
    assert ends == stretch.end(count) == end
    assert count == 1 or stretch.end(count - 1) < end
    assert count <= steps  # fewer only if the last did not move the clock
    assert count == steps or stretch.end(steps - 1) == end


@stable
@given(stretches, st.integers(0, 5000), st.floats(0, 1, exclude_min=True))
def test_an_instant_within_a_step_belongs_to_that_step(stretch, done, share):
    start, end = stretch.end(done), stretch.end(done + 1)
    instant = min(max(start + share * (end - start), math.nextafter(start, math.inf)), end)
    count, ends = stretch.steps_by(instant)
    assert ends == stretch.end(count) >= instant
    assert count == 1 or stretch.end(count - 1) < instant


@stable
@given(st.integers(1, 40), st.integers(0, 99), seconds, prices, st.integers(1, 60))
def test_a_stretch_ends_when_its_steps_do_one_after_the_other(jobs, longer, base, slope, steps):
    context = jobs + longer
    stretch = Stretch(2.0, jobs, context, Line(base, slope, math.inf))
    now = 2.0
    for step in range(steps):
        now += base + slope * (context + step * jobs)
        assert stretch.end(step + 1) == pytest.approx(now, rel=1e-12)


def test_a_stretch_is_continued_by_the_same_jobs_a_token_longer_at_the_instant_at_which_it_stands():
    stretch = Stretch(1.0, 3, 30, Line(0.1, 0.001, until=60))
    assert stretch.continues(1.0, 3, 30)
    stretch.done = 4
    end = stretch.end(4)
    assert stretch.continues(end, 3, 42)
    assert not stretch.continues(math.nextafter(end, 9), 3, 42)
    assert not stretch.continues(end, 3, 43)
    assert not stretch.continues(end, 2, 42)


@pytest.mark.parametrize(("until", "steps"), [(30, 1), (32, 1), (33, 2), (59, 10), (60, 11), (61, 11), (999, 20)])
def test_a_stretch_lasts_as_long_as_the_profiles_line_does(until, steps):
    stretch = Stretch(0.0, 3, 30, Line(0.1, 0.001, until))
    assert stretch.within(20) == steps
    stretch.done = steps
    assert stretch.continues(stretch.end(steps), 3, 30 + 3 * steps) == (30 + 3 * steps <= until)


# Events at absolute instants


@stable
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_a_call_comes_at_its_very_instant(instants):
    clock, called = Clock(), []
    for instant in instants:
        clock.at(instant, lambda _, instant=instant: called.append((clock.now, instant)))
    clock.run()
    assert called == [(instant, instant) for instant in sorted(instants)]


def test_simpys_own_delays_would_miss_an_instant():
    now, instant = 0.2, 0.9
    env = simpy.Environment(initial_time=now)
    env.timeout(instant - now)
    env.run()
    assert env.now != instant
    clock = Clock(initial_time=now)
    clock.at(instant, lambda _: None)
    clock.run()
    assert clock.now == instant


def test_a_late_call_comes_after_all_others_of_its_instant_even_those_made_later():
    clock, called = Clock(), []
    clock.at(1.0, lambda _: called.append("late"), LATE)
    clock.at(1.0, lambda _: clock.at(1.0, lambda _: called.append("made then")))
    clock.at(1.0, lambda _: called.append("second"))
    clock.at(1.0, lambda _: called.append("later"), LATE)
    clock.run()
    assert called == ["second", "made then", "late", "later"]
