"""Spans: they tile each life to the bit, leaping or not, and say what happened."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.eviction.keep import Resident
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, HostMemory, Link, Overhead, Pause, Record, Request, Span, Truth, simulate
from tests.cases import Misjudging, cases, on_several, plain, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_ranks import PROFILES, ROWS, TICK, run

SECOND = LinearProfile(fixed=1.0, per_token=0.0)  # a step takes a second
RUNS = ("prefill", "recompute", "decode")
STATES = ("request", "span", "first_step", "last_step")


def lists(table) -> list[tuple]:
    """The rows of a table."""
    return list(zip(*(column.tolist() for column in table.values()), strict=True))


def life(requests, device=None, horizon=None, predictor=None, link=None, devices=None, **parts) -> list[list[tuple]]:
    """The spans of each request: (span, start, end)."""
    cluster = Cluster(devices or (device or make_device(profile=SECOND),), link)
    tables = simulate(
        requests, make_policy(**parts), cluster, predictor or OraclePredictor(), record=Record.JOBS, horizon=horizon
    )
    found = [[] for _ in requests]
    for request, _, span, start, end, *_ in lists(tables.spans):
        found[request].append((span, start, end))
    return found


def check_tiles(tables, horizon=np.inf) -> None:
    """Each end is the next start, from the arrival to the end of the life, to the bit; the steps are those made."""
    spans, requests = tables.spans, tables.requests
    served = np.isin(requests["status"], ("finished", "censored"))
    ends = np.where(requests["status"] == "censored", horizon, requests["finished"])
    first = np.flatnonzero(np.r_[True, spans["request"][1:] != spans["request"][:-1]]) if len(spans["start"]) else []
    last = np.r_[first[1:], len(spans["start"])] - 1 if len(first) else []
    assert spans["request"][first].tolist() == requests["id"][served].tolist()
    assert spans["start"][first].tolist() == requests["arrival"][served].tolist()
    assert spans["end"][last].tolist() == ends[served].tolist()
    inner = np.setdiff1d(np.arange(len(spans["start"])), first)
    assert (spans["start"][inner] == spans["end"][inner - 1]).all()
    assert (spans["start"] < spans["end"]).all()
    runs = np.isin(spans["span"], RUNS)
    assert (spans["first_step"][~runs] == -1).all()
    assert (spans["replica"][spans["span"] == "asked"] == "").all()
    assert (spans["replica"][spans["span"] != "asked"] != "").all()


def check_batches(tables) -> None:
    """In each step as many run by their spans as the step says."""
    spans, steps = tables.spans, tables.steps
    for replica in set(steps["replica"].tolist()):
        rows = steps["replica"] == replica
        of = (spans["replica"] == replica) & (spans["first_step"] >= 0)
        changes = np.zeros(max(rows.sum(), spans["last_step"][of].max(initial=0) + 1) + 1, int)
        np.add.at(changes, spans["first_step"][of], 1)
        np.add.at(changes, spans["last_step"][of] + 1, -1)
        assert np.cumsum(changes)[: rows.sum()].tolist() == steps["running"][rows].tolist()


def check_columns(tables) -> None:
    """What requests.parquet says of whoever finished is what its spans say."""
    spans, requests = tables.spans, tables.requests
    seconds = spans["end"] - spans["start"]
    for number in np.flatnonzero(requests["status"] == "finished").tolist():
        row = {name: column[number] for name, column in requests.items()}
        own = spans["request"] == row["id"]
        states = spans["span"][own]
        of = {name: seconds[own][states == name].sum() for name in states.tolist()}
        assert of.get("asked", 0.0) == pytest.approx(row["queued"] - row["arrival"], abs=1e-9)
        if "transferred" not in of:  # else a call may have begun before the KV was there
            assert of.get("paused", 0.0) == pytest.approx(row["call_seconds"] + row["renewed_seconds"], abs=1e-9)
        if not row["preemptions"] and not row["calls"]:
            assert not {"preempted", "swapped", "recompute"} & of.keys()


@stable
@given(cases() | on_several(), st.sampled_from([None, None, 0.11, 0.7, 3.0]))
def test_spans_tile_each_life_and_leaps_leave_the_same(case, horizon):
    leapt = case.run(Record.JOBS, horizon=horizon)
    stepped = case.run(Record.JOBS, leap=False, horizon=horizon)
    assert lists(leapt.spans) == lists(stepped.spans)
    check_tiles(leapt, horizon or np.inf)
    told = case.run(Record.STEPS, horizon=horizon)
    assert plain(dataclasses.replace(leapt, spans={})) == plain(told)
    if not getattr(case.policy.batching.execution, "plans_ahead", 0):  # who departs has a seat until it is seen to
        check_batches(leapt)
    check_columns(leapt)


@stable
@given(ROWS, PROFILES, st.integers(1, 3), st.integers(1, 4), st.integers(0, 1))
def test_they_do_of_ranks_that_step_together(rows, profile, count, seats, ahead):
    requests = make_requests(*zip(*((at * TICK, prompt, out) for at, prompt, out in sorted(rows)), strict=True))
    memory = {"kv_tokens": 160, "max_model_len": 128}
    tables = run(requests, profile, count, seats, ahead=ahead, record=Record.JOBS, **memory)
    check_tiles(tables)
    check_columns(tables)
    if not ahead:
        check_batches(tables)
    if count == 1:
        alone = run(requests, profile, 1, seats, together=False, ahead=ahead, record=Record.JOBS, **memory).spans
        assert [alone[name].tolist() for name in STATES] == [tables.spans[name].tolist() for name in STATES]
        assert alone["end"] == pytest.approx(tables.spans["end"])


TWO = make_requests([0.0, 0.0], [4, 4], [3, 3])  # of whom the second has to stop, where there is room for 10 tokens
BESIDE = HostMemory(link=Link(0.25, math.inf), copying="overlapped")
CALLS = Request(0, 0.0, 4, Truth(2, pauses=(Pause(1, 8.5, 2),)))


def small(**changes):
    """Room for ten tokens."""
    return make_device(profile=SECOND, kv_tokens=10, block_size=1, **changes)


@pytest.mark.parametrize(
    ("eviction", "host", "end", "second"),
    [
        (Recompute(), HostMemory(), 3, [("preempted", 2, 3), ("recompute", 3, 4)]),
        (Swap(), HostMemory(), 3, [("swapped", 2, 3), ("decode", 3, 4)]),
        (Swap(), BESIDE, 4, [("swapped", 2, 4.25), ("decode", 4.25, 5.25)]),
    ],
    ids=["dropped", "swapped", "swapped beside the steps"],
)
def test_who_is_stopped_waits_and_goes_on(eviction, host, end, second):
    """Beside the steps: the first waits a step for the room that comes free when the copy has ended."""
    first = [("prefill", 0, 1), ("decode", 1, end)]
    found = life(TWO, small(host=host), eviction=eviction)
    assert found == [first, [("prefill", 0, 1), ("decode", 1, 2), *second]]


def test_the_steps_of_a_span_are_those_of_its_replica():
    tables = simulate(TWO, make_policy(), Cluster((small(),)), OraclePredictor(), record=Record.JOBS)
    rows = [(request, first, last) for request, *_, first, last in lists(tables.spans)]
    assert rows == [(0, 0, 0), (0, 1, 2), (1, 0, 0), (1, 1, 1), (1, -1, -1), (1, 3, 3)]
    assert len(tables.steps["end"]) == 4


def test_who_was_dropped_amid_its_prompt_computes_the_rest_of_it_for_the_first_time():
    """Room for 17 tokens, steps of 9: the second has computed 8 of 12 when it has to stop."""
    device = make_device(profile=SECOND, kv_tokens=17, block_size=1)
    found = life(make_requests([0.0, 0.5], [4, 12], [8, 1]), device, batching=Continuous(max_num_batched_tokens=9))
    anew = [("preempted", 2, 8), ("recompute", 8, 9), ("prefill", 9, 10)]
    assert found[1] == [("queued", 0.5, 1), ("prefill", 1, 2), *anew]


@pytest.mark.parametrize(("eviction", "work"), [(Resident(), "prefill"), (Recompute(), "recompute")], ids=repr)
def test_a_call_is_a_pause_until_it_is_over(eviction, work):
    assert life([CALLS], eviction=eviction) == [[("prefill", 0, 1), ("paused", 1, 9.5), (work, 9.5, 10.5)]]


def test_who_comes_back_from_a_call_queues():
    other = Request(1, 0.5, 4, Truth(20))
    found = life([CALLS, other], eviction=Resident(), batching=Continuous(max_num_seqs=1))
    assert found[0] == [("prefill", 0, 1), ("paused", 1, 9.5), ("queued", 9.5, 21), ("prefill", 21, 22)]
    assert found[1] == [("queued", 0.5, 1), ("prefill", 1, 2), ("decode", 2, 21)]


def test_kv_is_transferred_between_legs():
    devices = (make_device("p", "prefill", profile=SECOND), make_device("d", "decode", profile=SECOND))
    requests = make_requests([0.0, 0.0], [4, 4], [3, 1])
    found = life(requests, devices=devices, link=Link(0.5, math.inf), routing=Disaggregation())
    assert found == [[("prefill", 0, 1), ("transferred", 1, 1.5), ("decode", 1.5, 3.5)], [("prefill", 0, 1)]]


def test_predictor_and_router_are_asked_one_request_at_a_time():
    requests = make_requests([0.0, 0.0], [4, 4], [1, 1])
    parts = {"predictor": Misjudging(0.25), "overhead": Overhead(route_seconds=0.5)}
    first, second = life(requests, **parts)
    assert first == [("asked", 0, 0.75), ("prefill", 0.75, 1.75)]
    assert second == [("asked", 0, 1.25), ("queued", 1.25, 1.75), ("prefill", 1.75, 2.75)]


def test_a_static_batch_decodes_until_its_last_row_is_complete():
    requests = make_requests([0.0, 0.0, 1.5], [4, 4, 4], [1, 3, 1])
    found = life(requests, batching=Static(batch_size=2))
    assert found[0] == found[1] == [("prefill", 0, 1), ("decode", 1, 3)]
    assert found[2] == [("queued", 1.5, 3), ("prefill", 3, 4)]


def test_at_the_horizon_the_last_span_ends_and_who_was_rejected_has_none():
    requests = make_requests([0.0, 0.0, 0.0, 2.0], [4, 4, 11, 4], [3, 3, 1, 3])
    found = life(requests, small(), horizon=2.5)
    assert found == [
        [("prefill", 0, 1), ("decode", 1, 2.5)],
        [("prefill", 0, 1), ("decode", 1, 2), ("preempted", 2, 2.5)],
        [],
        [("queued", 2, 2.5)],
    ]


def test_nothing_of_it_is_kept_unless_asked():
    assert simulate(TWO, make_policy(), Cluster((small(),)), OraclePredictor(), record=Record.DECISIONS).spans == {}
    assert [span.name.lower() for span in Span][2:5] == list(RUNS)
