"""Requests that call out: by hand, and what holds of every run of a random case."""

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings

from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.batching.static import Static
from policies.batching.until_shortest import UntilShortest
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.fifo import FIFO
from policies.order.srpt import SRPT
from policies.predictor.calls import CallErrors
from policies.predictor.oracle import OraclePredictor
from sim import (
    Cause,
    Cluster,
    Eviction,
    HostMemory,
    Keep,
    Link,
    Pause,
    Prediction,
    Record,
    Request,
    Review,
    Truth,
    simulate,
)
from sim.job import Job
from sim.metrics import serving_time, summary
from sim.policy import FixedOrder, Predictor
from tests.cases import NEVER, cases, continuous, examples, on_several, plain, stable, with_calls
from tests.conftest import LinearProfile, make_device, make_policy, opens_the_engine

SECOND = LinearProfile(fixed=1.0, per_token=0.0)
often = settings(stable, max_examples=examples(100))


@dataclass(frozen=True)
class Last(FixedOrder):
    """The last to come goes first."""

    def rank(self, job, now):
        return -job.request.arrival


def serve(*lives, predictor=None, kv_tokens=1 << 20, profile=SECOND, host=None, leap=True, **parts):
    """The tables of requests (arrival, prompt, output, pauses) on a device whose every step takes a second."""
    requests = [
        Request(number, float(arrival), prompt, Truth(output, (), tuple(Pause(*one) for one in pauses)))
        for number, (arrival, prompt, output, pauses) in enumerate(lives)
    ]
    host = host or HostMemory()
    device = make_device(profile=profile, block_size=1, kv_tokens=kv_tokens, kv_bytes_per_token=1, host=host)
    parts = {"eviction": Resident(), **parts}
    predictor = predictor or OraclePredictor()
    cluster = Cluster((device,))
    return simulate(requests, make_policy(**parts), cluster, predictor, record=Record.DECISIONS, audit=True, leap=leap)


def granted(tables) -> list[tuple[float, tuple[tuple[int, int], ...]]]:
    """The start of each step and who got how many tokens in it; of a copy alone nobody."""
    return [(one.start, one.granted) for one in tables.decisions if one.granted]


# By hand


@pytest.mark.parametrize(("eviction", "anew"), [(Resident(), 3), (Swap(), 3), (Recompute(), 7)], ids=repr)
def test_a_job_calls_and_goes_on_with_what_that_returned_behind_its_last_token(eviction, anew):
    """Four tokens and three more, of which the first calls for 2 s and 2 tokens: those and itself are computed next."""
    tables = serve((0, 4, 3, [(1, 2.0, 2)]), eviction=eviction)
    assert granted(tables) == [(0.0, ((0, 4),)), (3.0, ((0, anew),)), (4.0, ((0, 1),))]
    table = tables.requests
    assert (table["first_token"][0], table["finished"][0]) == (1.0, 5.0)
    assert (table["calls"][0], table["call_seconds"][0], table["preemptions"][0]) == (1, 2.0, 0)
    assert serving_time(table)[0] == 3.0
    uses = dict(zip(tables.audit["use"].tolist(), tables.audit["token_seconds"].tolist(), strict=True))
    assert uses["paused"] == (4 * 2.0 if isinstance(eviction, Resident) else 0.0)
    assert uses["recompute"] == (7.0 if isinstance(eviction, Recompute) else 0.0)


@pytest.mark.parametrize(("ahead", "starts"), [(0, [0.0, 3.0, 4.0]), (1, [0.0, 1.0, 3.0, 4.0, 5.0])])
def test_copies_of_a_callers_kv_may_take_no_time(ahead, starts):
    """Decided ahead, a call comes unforeseen, and so does the end: a step is in vain after each."""
    at_once = HostMemory(None, Link(0.0, math.inf))
    batching = Continuous(plans_ahead=ahead)
    tables = serve((0, 4, 3, [(1, 2.0, 2)]), eviction=Swap(), host=at_once, batching=batching)
    assert [start for start, _ in granted(tables)] == starts
    assert set(tables.audit["held_up"].tolist()) == {0.0}


def test_a_call_that_ends_during_a_step_waits_for_its_end():
    """The other one decodes meanwhile: the call is over at 2.5 s, and its tokens are prefilled from 3 s on."""
    tables = serve((0, 4, 2, [(1, 1.5, 2)]), (0, 4, 6, []))
    assert granted(tables)[:4] == [
        (0.0, ((0, 4), (1, 4))), (1.0, ((1, 1),)), (2.0, ((1, 1),)), (3.0, ((1, 1), (0, 3))),
    ]  # fmt: skip
    assert tables.requests["finished"].tolist() == [4.0, 6.0]


def test_calls_come_one_after_the_other_and_need_no_time():
    tables = serve((0, 4, 4, [(1, 0.0, 3), (2, 0.0, 1), (3, 0.5, 0)]))
    assert [one for _, one in granted(tables)] == [((0, 4),), ((0, 4),), ((0, 2),), ((0, 1),)]
    assert [start for start, _ in granted(tables)] == [0.0, 1.0, 2.0, 3.5]
    assert tables.requests["calls"].tolist() == [3]


def test_who_comes_back_waits_by_first_arrival_where_the_order_is_by_that():
    """One seat: the one that calls at 1 s is back at 1.5 s, and goes before the one that came at 0.75 s."""
    tables = serve((0, 4, 2, [(1, 0.5, 0)]), (0.5, 4, 2, []), (0.75, 4, 2, []), batching=Continuous(1), order=FIFO())
    assert [one[0][0] for _, one in granted(tables)] == [0, 1, 1, 0, 2, 2]


def test_a_call_counts_from_the_next_plan_and_a_prediction_that_is_made_anew_comes_before_the_wait():
    class Renewing(Predictor):
        def predict(self, request):
            return Prediction(5.0, 5.0)

        def renew(self, request, prediction, calls):
            return Prediction(5.0 + calls, 5.0, seconds=0.25)

    tables = serve((0, 4, 2, [(1, 0.5, 0)]), predictor=Renewing())
    assert [start for start, _ in granted(tables)] == [0.0, 1.75]
    assert tables.requests["call_seconds"].tolist() == [0.5]


def test_kv_of_a_caller_is_taken_when_it_is_needed():
    """Sixteen blocks of one token: the caller keeps five; the newcomer needs fourteen."""
    tables = serve((0, 5, 2, [(1, 9.0, 0)]), (2, 14, 2, []), kv_tokens=16)
    assert granted(tables) == [
        (0.0, ((0, 5),)), (2.0, ((1, 14),)), (3.0, ((1, 1),)), (10.0, ((0, 6),)),
    ]  # fmt: skip


@dataclass(frozen=True)
class Sending(Eviction):
    """The KV of request 1 goes to the host when it calls, that of others stays; under pressure it is dropped."""

    def on_stop(self, job, cause, load, now):
        if cause is Cause.PRESSURE:
            return Keep.DROP
        return Keep.SWAP if job.request.id == 1 else Keep.KEEP


def test_who_waits_for_copies_is_asked_again_as_those_who_run_take_what_is_free():
    """At 3 s the last comes four short, of five that leave until 7 s; at 5 s it is six short: a kept one gives way."""
    calls = [(2, 100.0, 0)]
    lives = [(0, 2, 30, []), (0, 4, 9, calls), (0, 5, 9, calls), (2.5, 28, 2, [])]
    host = HostMemory(None, Link(0.0, 1.0), "overlapped")
    parts = {"eviction": Sending(), "kv_tokens": 40, "host": host, "order": Last()}
    leaped, stepped = (serve(*lives, **parts, leap=leap) for leap in (True, False))
    assert plain(leaped) == plain(stepped)
    assert leaped.requests["first_scheduled"][3] == 5.0


@dataclass(frozen=True)
class Counting(Resident):
    """Asked once in ten steps; keeps when."""

    asked: list[float] = field(default_factory=list)

    def review(self, idle, jobs, load, now):
        self.asked.append(now)
        return Review(steps=10)


@pytest.mark.parametrize("leap", [True, False])
def test_a_review_stands_for_as_many_steps_as_it_says(leap):
    """The first calls from 1 s to 24 s, beside one that runs; it comes back at the end of a step, and enters."""
    eviction = Counting()
    serve((0, 4, 3, [(1, 22.5, 1)]), (0, 4, 40, []), eviction=eviction, leap=leap)
    assert eviction.asked == [1.0, 11.0, 21.0, 24.0]


def test_what_was_predicted_at_arrival_is_told_and_what_later_predictions_took():
    """A second for each of three predictions, two of them as calls return."""
    predictor = CallErrors(0.5, 0.5, 0.0, 3, 1.0)
    lives = [(0, 8, 40, [(10, 1.0, 5), (30, 1.0, 5)])]
    found, free = (serve(*lives, predictor=one).requests for one in (predictor, None))
    request = Request(0, 0.0, 8, Truth(40, (), (Pause(10, 1.0, 5), Pause(30, 1.0, 5))))
    assert found["predicted_tokens"][0] == predictor.predict(request).length
    assert (found["predictor_seconds"][0], found["renewed_seconds"][0]) == (1.0, 2.0)
    assert summary(found, 0)["predicting_share"] == pytest.approx(3 / found["finished"][0])
    assert found["finished"][0] >= free["finished"][0] + 3 - 1  # steps of a second hide less than one of it


def test_a_stop_is_over_with_the_token_that_was_on_its_way():
    """Whoever it was that stopped the job while its last token before a call of 100 s came."""
    longest = 0.0
    for number in range(1, 40):
        lives = [(0, 8, 40, [(10, 100.0, 1)]), (number * 0.5, 8, 1, [])]
        batching = Preemptive(max_num_seqs=1, plans_ahead=1)
        longest = max(longest, serve(*lives, order=SRPT(), batching=batching).requests["longest_stop"][0])
    assert 0 < longest < 10


def test_in_a_static_batch_calls_begin_when_it_is_over():
    """Rows of one and five tokens: the first calls at 5 s, not at 1 s, and is computed anew."""
    tables = serve((0, 4, 2, [(1, 2.0, 3)]), (0, 4, 5, []), batching=Static(2))
    assert [start for start, _ in granted(tables)] == [0.0, 1.0, 2.0, 3.0, 4.0, 7.0]
    assert granted(tables)[-1] == (7.0, ((0, 8),))
    assert tables.requests["finished"].tolist() == [8.0, 5.0]


def test_a_batch_that_ends_with_its_shortest_row_ends_with_a_call_too():
    tables = serve((0, 4, 2, [(1, 2.0, 3)]), (0, 4, 5, []), batching=UntilShortest(2))
    assert granted(tables)[:2] == [(0.0, ((0, 4), (1, 4))), (1.0, ((1, 1),))]
    assert granted(tables)[-1] == (5.0, ((0, 4),))  # its own KV is there still, and nobody joins a batch
    assert tables.requests["finished"].tolist() == [6.0, 5.0]


def test_an_unfinished_call_is_counted_and_its_seconds_are_not():
    requests = [Request(0, 0.0, 4, Truth(3, (), (Pause(1, 1.0, 0), Pause(2, 50.0, 0))))]
    device = make_device(profile=SECOND)
    table = simulate(requests, make_policy(), Cluster((device,)), OraclePredictor(), horizon=9.0).requests
    assert (table["status"][0], table["calls"][0], table["call_seconds"][0]) == ("censored", 2, 1.0)


# Of every run


@dataclass(frozen=True)
class Watched(Eviction):
    """What `eviction` says, kept with what it was asked."""

    eviction: Eviction
    asked: list = field(default_factory=list, repr=False)

    def on_stop(self, job, cause, load, now):
        keep = self.eviction.on_stop(job, cause, load, now)
        self.asked.append((job.request.id, cause, job.calls))
        assert (cause is Cause.PAUSE) <= (job.paused == now)
        assert load.free_blocks >= 0
        return keep

    def foresee(self, job, load, now):
        self.asked.append((job.request.id, "foresee", job.calls))
        assert job.paused is None
        assert job.resumed is None or job.resumed <= now
        return Keep.DROP


random_cases = cases() | on_several()


def watched(case):
    """The calls of a run of `case`, as its jobs see them: (id, number, emitted, begun, over)."""
    begin, end, seen = Job.call, Job.resume, []

    def call(job, now):
        assert not job.runs
        assert job.paused is None
        waits = begin(job, now)
        seen.append([job.request.id, job.calls, job.emitted, now, None])
        return waits

    def resume(job, now):
        mine = [one for one in seen if one[0] == job.request.id][-1]
        assert mine[1:3] == [job.calls, job.emitted], "one call after the other, and no token in between"
        assert mine[4] is None
        mine[4] = now
        end(job, now)
        truth = job.request.truth
        returned = sum(pause.returned for pause in truth.pauses[: job.calls])
        assert job.context == job.request.prompt_tokens + returned + job.emitted
        assert 0 <= job.computed < job.context
        assert (job.paused, job.resumed) == (None, now)

    with mock.patch.object(Job, "call", call), mock.patch.object(Job, "resume", resume):
        tables = case.run()
    return seen, tables


@opens_the_engine
@often
@given(random_cases)
def test_each_call_begins_and_ends_once_where_the_truth_says(case):
    seen, tables = watched(case)
    expected = {(one.id, number): pause for one in case.requests for number, pause in enumerate(one.truth.pauses, 1)}
    assert Counter(tuple(one[:2]) for one in seen) == Counter(expected.keys())
    finished = dict(zip(tables.requests["id"].tolist(), tables.requests["finished"].tolist(), strict=True))
    for number, call, emitted, begun, over in seen:
        pause = expected[number, call]
        assert emitted == pause.emitted
        assert over == begun + pause.seconds
        assert over < finished[number]
    assert tables.requests["calls"].tolist() == [len(one.truth.pauses) for one in case.requests]
    seconds = [sum(pause.seconds for pause in one.truth.pauses) for one in case.requests]
    assert tables.requests["call_seconds"].tolist() == pytest.approx(seconds, rel=1e-12)
    assert (serving_time(tables.requests) > 0).all()


@often
@given(random_cases)
def test_an_eviction_foresees_at_arrival_and_each_return_and_is_asked_of_each_call_but_once(case):
    eviction = Watched(case.policy.eviction)
    assume(not hasattr(case.policy.eviction, "whim"))  # which moves KV while a call lasts: not asked of here
    tables = dataclasses.replace(case, policy=dataclasses.replace(case.policy, eviction=eviction)).run()
    asked = Counter(eviction.asked)
    for one in case.requests:
        times = len(one.truth.pauses)
        legs = 1 if len(case.cluster.devices) == 1 else None
        for number in range(times + 1):
            foreseen = asked[one.id, "foresee", number]
            assert foreseen == 1 if legs else foreseen >= 1
            assert asked[one.id, Cause.PAUSE, number] <= (number > 0)
    assert set(tables.requests["status"].tolist()) == {"finished"}


@settings(stable, max_examples=examples(40))
@given(random_cases)
def test_calls_of_no_time_that_return_nothing_are_none(case):
    def all_over(request):
        truth = request.truth
        nothing = [(place, 0.0, 0) for place in range(1, truth.output_tokens)]
        real = [tuple(pause) for pause in truth.pauses]
        return with_calls(request, [*nothing, *real])

    requests = [all_over(one) for one in case.requests]
    assert plain(dataclasses.replace(case, requests=requests).run()) == plain(case.run())


@settings(stable, max_examples=examples(40))
@given(cases(continuous, caching=False, ample=True, decodings=NEVER))
def test_in_ample_memory_calls_that_keep_their_kv_have_nothing_computed_twice(case):
    policy = dataclasses.replace(case.policy, eviction=Resident())
    tables = dataclasses.replace(case, policy=policy).run()
    computed = Counter()
    for one in tables.decisions:
        for number, tokens in one.granted:
            computed[number] += tokens
    lengths = [one.prompt_tokens + one.truth.output_tokens + one.truth.returned_tokens - 1 for one in case.requests]
    assert [computed[one.id] for one in case.requests] == lengths
    assert np.all(tables.requests["preemptions"] == 0)
