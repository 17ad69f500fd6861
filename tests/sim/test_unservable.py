"""A request that can never fit where it is routed is rejected, whatever leg is too long; the others are served."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.batching.static import Static
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from sim import Cluster, Link, Request, Truth, Unservable, simulate
from sim.metrics import summary
from tests.cases import Case, cases, on_several, plain, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests
from tests.sim.test_properties import replicas_after

CONST = LinearProfile(fixed=0.01, per_token=0.0)  # every step takes 10 ms


def device(name="gpu", kind="gpu", **changes):
    return make_device(name, kind, **{"profile": CONST, "max_model_len": 4096, "kv_bytes_per_token": 1000, **changes})


def serve(requests, *devices, unservable="reject", leap=True, **parts):
    cluster = Cluster(devices or (device(),), Link(0.0, math.inf))
    return simulate(requests, make_policy(**parts), cluster, OraclePredictor(), unservable=unservable, leap=leap)


def test_the_others_are_served_and_the_rejected_are_counted():
    requests = make_requests([0, 0.1, 0.2], [100, 4096, 100], [5, 1, 5])
    table = serve(requests).requests
    assert table["status"].tolist() == ["finished", "rejected", "finished"]
    assert table["finished"][[0, 2]].tolist() == pytest.approx([0.05, 0.25])
    found = summary(table, warmup=0.0)
    assert (found["finished"], found["rejected"], found["response_time_mean"]) == (2, 1, pytest.approx(0.05))


def pair(prefill=(), decode=(), batching=None):
    """A prefill and a decode device with such changes; the first request of 900 + 500 tokens fits plain ones."""
    changes = {"batching": batching, "block_size": 16}
    return (
        device("p", "prefill", **{**changes, **dict(prefill)}),
        device("d", "decode", **{**changes, **dict(decode)}),
    )


ROOM = make_requests([0, 0.5], [900, 100], [500, 3])


@pytest.mark.parametrize("batching", [Continuous(), Continuous(reserve_output=True), Static(4)], ids=repr)
@pytest.mark.parametrize("prefill", [{"kv_tokens": 1008}, {"kv_tokens": 912}, {"max_model_len": 901}], ids=str)
def test_a_leg_needs_what_is_computed_in_it_and_no_more(batching, prefill):
    """The leg that ends with the first token holds the prompt's 900 tokens, in 57 blocks; one token more exists."""
    table = serve(ROOM, *pair(prefill, batching=batching), routing=Disaggregation(), unservable="fail").requests
    assert table["first_token"].tolist() == pytest.approx([0.01, 0.51])
    assert table["replica"].tolist() == ["d", "d"]


def test_a_whole_prefill_of_such_a_leg_is_the_prompts():
    whole = Continuous(max_num_batched_tokens=900, chunked_prefill=False)
    devices = (*pair(batching=whole)[:1], *pair()[1:])
    assert serve(ROOM, *devices, routing=Disaggregation()).requests["status"].tolist() == ["finished", "finished"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefill": {"kv_tokens": 911}}, "request 0 needs 900 tokens of KV, p has 896"),
        ({"prefill": {"max_model_len": 900}}, "request 0 needs 901 tokens, p allows max_model_len=900"),
        ({"decode": {"kv_tokens": 1398}}, "request 0 needs 1399 tokens of KV, d has 1392"),
        ({"decode": {"max_model_len": 1399}}, "request 0 needs 1400 tokens, d allows max_model_len=1399"),
    ],
    ids=str,
)
def test_a_request_is_rejected_before_it_is_begun_if_any_leg_is_too_long(changes, message):
    devices = pair(**changes)
    for leap in (True, False):
        table = serve(ROOM, *devices, routing=Disaggregation(), leap=leap).requests
        assert table["status"].tolist() == ["rejected", "finished"]
        assert np.isnan([table[name][0] for name in ("queued", "first_scheduled", "first_token", "finished")]).all()
    with pytest.raises(Unservable, match=message):
        serve(ROOM, *devices, routing=Disaggregation(), unservable="fail")


def test_a_request_of_one_token_ends_with_its_first_leg_and_needs_nothing_of_the_second():
    devices = pair({"kv_tokens": 912}, {"kv_tokens": 16})
    table = serve(make_requests([0], [900], [1]), *devices, routing=Disaggregation()).requests
    assert table["finished"].tolist() == pytest.approx([0.01])


def test_in_a_closed_loop_the_session_of_a_rejected_request_goes_on():
    turns = [(0, 100, 0.0), (1, 5000, 1.0), (2, 100, 0.5)]
    requests = [Request(number, 0.0, prompt, Truth(5), session="a", think=think) for number, prompt, think in turns]
    table = serve(requests).requests
    assert table["status"].tolist() == ["finished", "rejected", "finished"]
    assert table["arrival"].tolist() == pytest.approx([0.0, 1.05, 1.55])


@st.composite
def tight(draw) -> Case:
    """A case on devices some of which are too small for some of its requests."""
    case = draw(cases() | on_several())
    devices = tuple(
        dataclasses.replace(
            one,
            kv_tokens=max(one.block_size, draw(st.integers(1, one.kv_tokens))),
            max_model_len=draw(st.integers(20, 70)),
        )
        for one in case.cluster.devices
    )
    return dataclasses.replace(case, cluster=dataclasses.replace(case.cluster, devices=devices))


@stable
@given(tight())
def test_who_fits_is_served_who_does_not_is_rejected_and_nothing_is_left_behind(case):
    tables = case.run()
    assert set(tables.requests["status"].tolist()) <= {"finished", "rejected"}
    assert tables.requests["id"].tolist() == [request.id for request in case.requests]
    assert plain(tables) == plain(case.run(leap=False))
    rejected = tables.requests["status"] == "rejected"
    assert np.isnan(tables.requests["first_scheduled"][rejected]).all()
    for replica in replicas_after(case):
        assert replica.batch.kv.free == replica.batch.kv.total
        assert replica.jobs == len(replica.waiting) == 0
    if rejected.any():
        with pytest.raises(Unservable):
            case.run(unservable="fail")
    kept = [request for request, out in zip(case.requests, rejected, strict=True) if not out]
    if len(case.cluster.devices) == 1 and case.predictor == OraclePredictor():
        without = dataclasses.replace(case, requests=kept).run().requests
        assert repr(without["finished"].tolist()) == repr(tables.requests["finished"][~rejected].tolist())
