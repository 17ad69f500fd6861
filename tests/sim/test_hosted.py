"""The host's seconds: before the device's, or hidden behind them, in steps, lines and leaps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.batching.continuous import Continuous
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, HostTime, Record, simulate
from sim.engine.hosted import Hidden, Hosted, hosted
from sim.step import Step
from tests.cases import Stairs, stable
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

DEVICE = LinearProfile(fixed=0.01, per_token=1e-3, per_context=1e-5)
HOST = HostTime(step_seconds=0.002, request_seconds=0.001)


def test_without_a_host_the_profile_is_the_device_s() -> None:
    assert hosted(DEVICE, None, 1) is DEVICE
    assert hosted(DEVICE, HOST, 0) == Hosted(DEVICE, HOST)
    assert hosted(DEVICE, HOST, 1) == Hidden(DEVICE, HOST)


def test_every_request_of_a_step_counts_also_those_that_are_prefilled() -> None:
    step = Step(30, 400, 4, 100, prefill_jobs=2)
    device = DEVICE.step_time(step)
    assert Hosted(DEVICE, HOST).step_time(step) == pytest.approx(device + 0.002 + 6 * 0.001)
    assert Hidden(DEVICE, HOST).step_time(step) == device
    assert Hidden(DEVICE, HostTime(1.0)).step_time(step) == 1.0


def test_a_line_is_the_host_s_until_the_device_is_the_slower() -> None:
    hidden = Hidden(DEVICE, HostTime(step_seconds=0.02))
    first, then = hidden.decode_line(2, 100), hidden.decode_line(2, 900)
    assert (first.base, first.slope, first.since) == (0.02, 0.0, 0.0)
    assert (then.base, then.slope, then.until) == (0.012, 1e-5, math.inf)
    assert then.since == first.until + 1 == 800
    assert Hidden(DEVICE, HostTime(step_seconds=0.011)).decode_line(2, 100) == DEVICE.decode_line(2, 100)
    flat = LinearProfile(fixed=0.01, per_token=0.0)
    assert Hidden(flat, HostTime(0.02)).decode_line(2, 100).base == 0.02
    assert Hidden(flat, HostTime(0.002)).decode_line(2, 100).base == 0.01


PROFILES = st.sampled_from([DEVICE, Stairs(7), Stairs(40), LinearProfile(per_context=0.0)])
HOSTS = st.builds(HostTime, st.sampled_from([0.0, 0.011, 0.0135, 0.05]), st.sampled_from([0.0, 1e-3, 3e-3]))


@stable
@given(PROFILES, HOSTS, st.integers(0, 1), st.integers(1, 6), st.integers(0, 3000))
def test_a_line_agrees_with_every_step_on_it(device, host, ahead, jobs, more) -> None:
    profile, context = hosted(device, host, ahead), jobs + more
    line = profile.decode_line(jobs, context)
    assert line.since <= context <= line.until
    for asked in {context, max(jobs, math.ceil(line.since)), int(min(line.until, context + 99))}:
        assert line.base + line.slope * asked == profile.step_time(Step(0, 0, jobs, asked))
        expected = device.step_time(Step(0, 0, jobs, asked))
        expected = max(expected, host.seconds(jobs)) if ahead else expected + host.seconds(jobs)
        assert line.base + line.slope * asked == pytest.approx(expected)


@stable
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.integers(1, 100)), min_size=1, max_size=12),
    PROFILES, HOSTS, st.integers(0, 1), st.integers(1, 4),
)  # fmt: skip
def test_leaping_equals_stepping(rows, device, host, ahead, seats) -> None:
    requests = make_requests(*zip(*((at / 7, prompt, out) for at, prompt, out in sorted(rows)), strict=True))
    policy = make_policy(batching=Continuous(max_num_seqs=seats, max_num_batched_tokens=32, plans_ahead=ahead))
    cluster = Cluster((make_device(profile=device, host_time=host),))
    tables = [
        simulate(requests, policy, cluster, OraclePredictor(), record=Record.STEPS, leap=leap) for leap in (True, False)
    ]
    for kind in ("requests", "steps"):
        one, other = ({name: column.tolist() for name, column in getattr(part, kind).items()} for part in tables)
        assert repr(one) == repr(other)


def test_a_device_s_host_time_is_in_its_steps() -> None:
    requests = make_requests([0.0, 0.0], [5, 7], [2, 2])
    runs = [
        simulate(
            requests, make_policy(), Cluster((make_device(host_time=host),)), OraclePredictor(), record=Record.STEPS
        )
        for host in (None, HOST)
    ]
    added = runs[1].steps["seconds"] - runs[0].steps["seconds"]
    assert added.tolist() == pytest.approx([0.004, 0.004])  # two requests, prefilled and decoding


@pytest.mark.parametrize("settings", [{"step_seconds": -1.0}, {"request_seconds": math.inf}])
def test_wrong_seconds_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"host_time.{next(iter(settings))} must be a number of seconds from 0"):
        HostTime(**settings)
