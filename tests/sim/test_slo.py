"""Objectives: what a run makes of them, by hand, and against the words of vLLM's benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from policies.batching.continuous import Continuous
from sim import Cluster, Record, simulate
from sim.gaps import gaps
from sim.metrics import response_time, tpot, ttft
from sim.slo import Slo
from tests.conftest import make_device, make_policy, make_requests, poisson_requests


def table(**changed):
    """Six requests over 10 s: three within 1 s to the first token; one of one token; one rejected; one unfinished."""
    columns = {
        "arrival": [0.0, 2.0, 4.0, 6.0, 8.0, 10.0],
        "output_tokens": [11, 11, 1, 21, 5, 5],
        "status": ["finished"] * 4 + ["rejected", "censored"],
        "first_token": [0.5, 2.5, 4.9, 8.0, np.nan, np.nan],
        "finished": [1.5, 4.5, 4.9, 9.0, np.nan, np.nan],
        "task": ["a", "b", "a", "a", "b", "a"],
        **changed,
    }
    return {name: np.array(values) for name, values in columns.items()}


def test_a_request_is_good_if_it_finished_within_every_bound():
    met = Slo.of({"ttft": 1, "tpot": 0.15}).met(table(), 0.0)
    assert met.good.tolist() == [
        True,
        False,
        True,
        False,
        False,
        False,
    ]  # TPOT 0.1, 0.2, none, 0.05; TTFT of the last 2
    assert met.attainment == pytest.approx(2 / 6)
    assert met.goodput == pytest.approx(2 / 10)
    assert met.goodput_overall == pytest.approx(2 / 9)  # from the first arrival to the last end
    assert met.holds  # nothing is said of how many


def test_a_percentile_has_the_unfinished_at_its_end():
    found = {
        one.name: one.seconds for one in Slo.of({"ttft_p50": 1, "ttft_p99": 1, "tpot_p50": 1}).met(table(), 0.0).found
    }
    assert found["ttft_p99"] == np.inf
    assert found["ttft_p50"] == pytest.approx((0.9 + 2.0) / 2)  # of 0.5, 0.5, 0.9, 2, inf, inf
    assert found["tpot_p50"] == pytest.approx(0.2)  # of 0.05, 0.1, 0.2, inf, inf
    finished = {name: values[:4] for name, values in table().items()}
    [p99] = Slo.of({"ttft_p99": 1}).met(finished, 0.0).found
    assert p99.seconds == np.percentile([0.5, 0.5, 0.9, 2.0], 99)
    [p100] = Slo.of({"ttft_p100": 1}).met(finished, 0.0).found
    assert (p100.seconds, p100.holds) == (2.0, False)
    [p999] = Slo.of({"e2e_p999": 1}).met(finished, 0.0).found
    assert p999.seconds == np.percentile(response_time(finished), 99.9)


def test_the_bound_of_a_request_is_its_own_or_that_of_the_highest_percentile():
    assert Slo.of({"ttft_p50": 0.1, "ttft_p99": 1}).met(table(), 0.0).good.sum() == 3
    assert Slo.of({"ttft_p50": 0.1, "ttft_p99": 1, "ttft": 0.6}).met(table(), 0.0).good.sum() == 2


def test_classes_are_judged_alone_and_keep_what_is_said_in_general():
    slo = Slo.of({"ttft_p50": 1, "e2e_p50": 2.6, "by": "task", "classes": {"a": {"ttft_p50": 3}}})
    met = slo.met({name: values[:4] for name, values in table().items()}, 0.0)
    assert {one.name: one.holds for one in met.found} == {
        "a.ttft_p50": True, "a.e2e_p50": True, "b.ttft_p50": True, "b.e2e_p50": True
    }  # fmt: skip
    assert met.attainments == {"a": pytest.approx(2 / 3), "b": 1.0}  # the last took 3 s
    assert sum(met.goodputs.values()) == pytest.approx(met.goodput)
    tight = Slo.of({"by": "task", "classes": {"b": {"ttft_p50": 0.4}}})
    assert not tight.met(table(), 0.0).holds


def test_the_share_that_is_to_be_within_is_of_each_class():
    assert Slo.of({"ttft": 1, "attainment": 0.5}).met(table(), 0.0).holds
    assert not Slo.of({"ttft": 1, "attainment": 0.51}).met(table(), 0.0).holds
    assert not Slo.of({"ttft": 0.6, "attainment": 0.3, "by": "task"}).met(table(), 0.0).holds  # of a, a quarter


def test_goodput_is_what_vllms_benchmark_counts(oracle):
    requests = poisson_requests(4.0, 300, 7)
    run = simulate(requests, make_policy(), Cluster((make_device(),)), oracle).requests
    bounds = {"ttft": float(np.median(ttft(run))), "tpot": float(np.nanpercentile(tpot(run), 80)), "e2e": 5.0}
    tpots = np.nan_to_num(tpot(run))  # it has 0 for an answer of one token
    good = sum(
        all(value <= bounds[name] for name, value in zip(bounds, each, strict=True))
        for each in zip(ttft(run), tpots, response_time(run), strict=True)
    )
    met = Slo.of(bounds).met(run, 0.0)
    assert 0 < good < len(tpots)
    assert met.goodput_overall == pytest.approx(good / (run["finished"].max() - run["arrival"].min()))
    assert met.good.sum() == good


def test_what_was_not_seen_is_said():
    static = table(first_token=[np.nan] * 6)
    with pytest.raises(ValueError, match=r"slo.tpot: of 4 of 4 finished requests no first token was seen"):
        Slo.of({"tpot": 1}).met(static, 0.0)
    assert Slo.of({"e2e": 2.6}).met(static, 0.0).attainment == pytest.approx(3 / 6)
    with pytest.raises(ValueError, match=r"slo.itl: the gaps between tokens are seen with record=steps or jobs alone"):
        Slo.of({"itl_p99": 1}).met(table(), 0.0)
    with pytest.raises(ValueError, match=r"slo.by=client: the requests of this trace have no client"):
        Slo.of({"ttft": 1, "by": "client"}).met(table(), 0.0)
    with pytest.raises(ValueError, match=r"slo.classes.c: no request of this trace is of that task; there are a, b"):
        Slo.of({"by": "task", "classes": {"c": {"ttft": 1}}}).met(table(), 0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "slo bounds nothing"),
        ({"tftt_p99": 1}, "slo.tftt_p99=1: no such bound; there are slo.METRIC"),
        ({"ttft_p00": 1}, "ttft_p00=1: no such percentile"),
        ({"ttft_p1000": 1}, "there are p1 to p100 and, with tenths, p501"),
        ({"ttft_p101": 1}, "no such percentile"),
        ({"ttft": 0}, "slo.ttft=0 must be a number of seconds above 0"),
        ({"ttft": "fast"}, "slo.ttft=fast must be a number of seconds"),
        ({"ttft": True}, "slo.ttft=True must be a number"),
        ({"ttft": 1, "attainment": 99}, "slo.attainment=99 must be a share"),
        ({"ttft": 1, "by": "user"}, "slo.by=user must be task or client"),
        ({"ttft": 1, "classes": {"a": {"ttft": 1}}}, "slo.classes.a: say what a class is"),
        ({"by": "task", "classes": {"a": 1}}, "slo.classes.a=1 must hold bounds"),
        ({"by": "task", "classes": {"a": {"e2e_p95": -1}}}, "slo.classes.a.e2e_p95=-1 must be a number"),
    ],
)
def test_what_bounds_nothing_is_named(settings, said):
    with pytest.raises(ValueError, match=said):
        Slo.of(settings)


def emitted(requests, tables):
    """Of each request the ends of the steps that gave it a token, from who was granted what in each."""
    done = dict.fromkeys((request.id for request in requests), 0)
    ends = {one: [] for one in done}
    prompts = {request.id: request.prompt_tokens for request in requests}
    for decision, end in zip(tables.decisions, tables.steps["end"], strict=True):
        for one, tokens in decision.granted:
            done[one] += tokens
            if done[one] >= prompts[one]:
                ends[one].append(end)
    return ends


@pytest.mark.parametrize("leap", [True, False])
def test_gaps_are_those_between_the_steps_that_gave_a_token(oracle, leap):
    requests = poisson_requests(1.0, 150, 3, prompt=3000)  # whose chunks lengthen the steps of others
    tables = simulate(requests, make_policy(), Cluster((make_device(),)), oracle, record=Record.DECISIONS, leap=leap)
    found = gaps(tables.requests, tables.steps)
    assert found.seen.all()
    by_hand = [np.diff(ends) for ends in emitted(requests, tables).values()]
    assert found.longest.tolist() == [gap.max() if len(gap) else 0.0 for gap in by_hand]
    pooled, everybody = np.concatenate(by_hand), np.ones(len(requests), bool)
    told = found.distribution(everybody)
    assert [told[f"itl_p{percent}"] for percent in (50, 90, 95, 99)] == np.percentile(pooled, [50, 90, 95, 99]).tolist()
    assert told["itl_mean"] == pytest.approx(pooled.mean())
    assert told["itl_max"] == pooled.max()
    few = np.arange(len(requests)) < 9
    assert found.percentile(few, 99) == np.percentile(np.concatenate(by_hand[:9]), 99)
    assert len({len(gap) for gap in by_hand}) > 20
    assert pooled.max() > 5 * np.median(pooled)


def test_gaps_of_those_who_were_stopped_are_not_guessed(oracle):
    requests = make_requests([0.0, 0.01, 0.02], [30, 30, 30], [40, 40, 40])
    short = make_device(kv_tokens=160)
    tables = simulate(requests, make_policy(), Cluster((short,)), oracle, record=Record.STEPS)
    stopped = tables.requests["preemptions"] > 0
    assert stopped.any()
    assert not stopped.all()
    found = gaps(tables.requests, tables.steps)
    assert found.seen.tolist() == (~stopped).tolist()
    assert np.isnan(found.longest[stopped]).all()
    with pytest.raises(ValueError, match=rf"slo.itl: of {stopped.sum()} of 3 finished requests the gaps .* not seen"):
        Slo.of({"itl": 1}).met(tables.requests, 0.0, found)


def test_an_inter_token_bound_is_of_all_tokens_or_of_a_requests_longest_gap(oracle):
    requests = poisson_requests(6.0, 100, 3, prompt=3000)
    tables = simulate(requests, make_policy(), Cluster((make_device(),)), oracle, record=Record.STEPS)
    found = gaps(tables.requests, tables.steps)
    bound = float(np.median(found.longest))
    met = Slo.of({"itl": bound, "itl_p90": bound}).met(tables.requests, 0.0, found)
    assert met.good.tolist() == (found.longest <= bound).tolist()
    assert met.found[0].seconds == found.distribution(np.ones(100, bool))["itl_p90"]


@pytest.mark.parametrize("plans_ahead", [0, 1])
def test_with_spans_those_who_were_stopped_are_seen_too(oracle, plans_ahead):
    rng = np.random.default_rng(11)
    requests = make_requests(np.cumsum(rng.exponential(0.2, 60)), rng.integers(20, 60, 60), rng.integers(1, 90, 60))
    policy = make_policy(batching=Continuous(max_num_batched_tokens=64, plans_ahead=plans_ahead))
    cluster = Cluster((make_device(kv_tokens=320),))
    tables = simulate(requests, policy, cluster, oracle, record=Record.JOBS)
    decided = simulate(requests, policy, cluster, oracle, record=Record.DECISIONS)
    stopped = tables.requests["longest_stop"] > 0  # amid its answer
    assert stopped.sum() > 5
    assert not gaps(tables.requests, tables.steps).seen[stopped].any()
    found = gaps(tables.requests, tables.steps, tables.spans)
    assert found.seen.mean() > 0.9
    steps = decided.steps["end"]
    granted = [np.array([one for one, _ in decision.granted]) for decision in decided.decisions]
    pooled = []
    on_its_way = tables.steps["seconds"].max() if plans_ahead else 0.0  # of a token, when the stop was decided
    for row in np.flatnonzero(found.seen):
        request = tables.requests
        inside = (steps >= request["first_token"][row]) & (steps <= request["finished"][row])
        served = np.array([row in ids for ids in granted]) & inside
        if not stopped[row]:
            assert found.longest[row] == pytest.approx(np.diff(steps[served]).max(initial=0.0))
        assert found.longest[row] >= request["longest_stop"][row] - on_its_way - 1e-9
        pooled.append(found.longest[row])
        total = request["finished"][row] - request["first_token"][row]
        own = found.alone[1][found.alone[0] == row]
        assert not len(own) or own.sum() == pytest.approx(total)
    told = found.distribution(np.ones(60, bool))
    assert told["itl_max"] == max(pooled)
    assert told["itl_max"] > 5 * told["itl_p50"]
