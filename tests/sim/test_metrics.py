"""The metrics of small tables made by hand."""

import numpy as np
import pytest

from policies.predictor.oracle import OraclePredictor
from sim import Cluster, simulate
from sim.metrics import (
    distribution,
    inside,
    longest_wait,
    measured_window,
    response_time,
    serving_time,
    summary,
    throughput,
    tpot,
    ttft,
)
from tests.conftest import make_device, make_policy

NAN = float("nan")


def table(**columns):
    """A request table of four: two on a GPU, one on a CPU, and one that had not finished."""
    rows = {
        "id": [0, 1, 2, 3],
        "arrival": [0.0, 2.0, 6.0, 10.0],
        "prompt_tokens": [8, 8, 8, 8],
        "output_tokens": [5, 1, 3, 9],
        "status": ["finished", "finished", "finished", "censored"],
        "replica": ["gpu", "gpu", "cpu", "gpu"],
        "replica_kind": ["gpu", "gpu", "cpu", "gpu"],
        "model": ["large", "large", "small", "large"],
        "predicted_tokens": [5.0, 1.0, 3.0, 9.0],
        "uncertainty": [5.0, 1.0, 3.0, 9.0],
        "predictor_seconds": [0.1] * 4,
        "overhead_seconds": [0.2, 0.1, 0.3, NAN],
        "queued": [0.5, 2.5, 6.5, 10.5],
        "first_scheduled": [0.5, 3.0, 7.0, NAN],
        "first_token": [1.0, 4.0, 8.0, NAN],
        "finished": [3.0, 4.0, 9.0, NAN],
        "preemptions": [0, 2, 0, 1],
        "longest_stop": [0.0, 0.5, 0.0, 1.0],
        "calls": [0, 2, 0, 1],
        "call_seconds": [0.0, 1.5, 0.0, 0.5],
        "renewed_seconds": [0.0] * 4,
        "routing_seconds": [0.0] * 4,
        "passes": [0] * 4,
        "proposed_tokens": [0] * 4,
        "moved_tokens": [0, 40, 0, 20],
        "dropped_tokens": [0, 0, 7, 3],
    }
    return {name: np.array(column) for name, column in {**rows, **columns}.items()}


def test_response_time_and_time_to_first_token_count_from_arrival():
    assert response_time(table())[:3].tolist() == [3.0, 2.0, 3.0]
    assert ttft(table())[:3].tolist() == [1.0, 2.0, 2.0]
    assert np.isnan([response_time(table())[3], ttft(table())[3]]).all()


def test_time_per_output_token_leaves_out_the_first_and_is_undefined_for_one():
    assert tpot(table()).tolist() == pytest.approx([0.5, NAN, 0.5, NAN], nan_ok=True)


def test_the_longest_wait_is_that_before_the_first_step_or_amid_the_answer():
    assert longest_wait(table(longest_stop=[0.25, 0.75, 0.0, 1.0])).tolist() == [0.25, 0.75, 0.5, 1.0]


def test_the_window_leaves_out_the_warm_up_and_ends_at_the_last_arrival():
    assert measured_window(table(), 0.3) == (3.0, 10.0)
    assert inside(table(), (2.0, 6.0))["id"].tolist() == [1, 2]


@pytest.mark.parametrize("warmup", [-0.1, 1.0, NAN])
def test_a_warm_up_is_a_share(warmup):
    with pytest.raises(ValueError, match=f"warmup must be a share in \\[0, 1\\), got {warmup}"):
        measured_window(table(), warmup)


def test_throughput_counts_what_finishes_in_the_window():
    assert throughput(table(), (0.0, 10.0)) == (0.3, 0.9)
    assert throughput(table(), (3.5, 5.5)) == (0.5, 0.5)
    assert np.isnan(throughput(table(), (4.0, 4.0))).all()


def together(arrival, finished, at=0.0):
    """As many requests as `finished` says, that arrive every `arrival` seconds from `at` on, with five tokens each."""
    count = len(finished)
    columns = {"arrival": at + arrival * np.arange(count), "finished": at + np.array(finished), "id": range(count)}
    same = {"output_tokens": 5, "status": "finished", "replica_kind": "gpu", "preemptions": 0, "first_token": NAN}
    same |= {"queued": 0.0, "overhead_seconds": 0.0, "first_scheduled": 0.0, "longest_stop": 0.0}
    same |= {"moved_tokens": 0, "dropped_tokens": 0}
    return {
        **{name: np.array(value) for name, value in columns.items()},
        **{k: np.array([v] * count) for k, v in same.items()},
    }


@pytest.mark.parametrize("at", [0.0, 7.0])
@pytest.mark.parametrize(
    ("arrival", "finished", "overall"),
    [
        (0.0008, [0.05 * turn for turn in range(1, 51)], (20.0, 100.0)),  # a burst, served one at a time
        (0.0, [0.05] * 3, (60.0, 300.0)),  # all at once
        (0.0, [0.25], (4.0, 20.0)),  # a single one
    ],
)
def test_of_a_burst_the_throughput_of_the_whole_run_is_told_and_that_of_its_window_is_not(
    arrival, finished, overall, at
):
    found = summary(together(arrival, finished, at), warmup=0.1)
    names = ("throughput_requests", "throughput_tokens")
    assert tuple(found[f"{name}_overall"] for name in names) == pytest.approx(overall)
    assert np.isnan([found[name] for name in names]).all()


def test_where_an_early_request_is_out_of_the_window_of_a_burst_there_is_no_throughput_in_it():
    late = {name: np.concatenate([column, column]) for name, column in together(0.0, [0.5] * 4).items()}
    late["arrival"][4:] += 10.0
    late["finished"][4:] += 10.0
    assert np.isnan(throughput(late, (1.0, 10.0))).all()
    assert throughput(late, (0.0, 10.0)) == (0.4, 2.0)


def test_in_overload_the_throughput_of_the_window_is_what_is_served_while_requests_come():
    """One a second comes and one in two seconds is served: half of those that come in a minute."""
    found = summary(together(1.0, [2.0 * turn for turn in range(1, 61)]), warmup=0.0)
    assert found["throughput_requests"] == pytest.approx(29 / 59)
    assert found["throughput_requests_overall"] == pytest.approx(0.5)


def test_a_run_in_which_nobody_finished_has_no_throughput():
    nobody = table(finished=[NAN] * 4, status=["rejected", "rejected", "censored", "censored"])
    found = summary(nobody, warmup=0.0)
    assert np.isnan([found[name] for name in found if "throughput" in name]).all()


def test_those_of_the_warm_up_are_counted():
    assert [summary(table(), warmup)["warmup_requests"] for warmup in (0.0, 0.2, 0.3)] == [0, 1, 2]


def test_a_distribution_leaves_out_what_is_undefined():
    parts = distribution("x", np.array([*range(1, 102), NAN]))
    assert parts == {"x_mean": 51.0, "x_p50": 51.0, "x_p90": 91.0, "x_p95": 96.0, "x_p99": 100.0, "x_max": 101.0}
    assert np.isnan(list(distribution("x", np.array([NAN])).values())).all()


def test_the_summary_is_of_the_requests_that_arrived_in_the_window():
    whole = summary(table(), warmup=0.0)
    assert (whole["requests"], whole["finished"], whole["rejected"], whole["censored"]) == (4, 3, 0, 1)
    assert whole["response_time_mean"] == pytest.approx(8 / 3)
    assert whole["ttft_max"] == 2.0
    assert whole["tpot_mean"] == 0.5
    assert (whole["ttft_requests"], whole["tpot_requests"]) == (3, 2)
    assert whole["normalized_latency_mean"] == pytest.approx((3 / 5 + 2 / 1 + 3 / 3) / 3)
    assert (whole["throughput_requests"], whole["throughput_tokens"], whole["window_seconds"]) == (0.3, 0.9, 10.0)
    assert (whole["normalized_latency_p50"], whole["normalized_latency_max"]) == (1.0, 2.0)
    assert whole["longest_wait"] == 0.5
    assert [whole[name] for name in ("preemptions", "moved_tokens", "dropped_tokens")] == [3, 60, 10]
    later = summary(table(), warmup=0.5)
    assert (later["requests"], later["finished"], later["response_time_mean"]) == (2, 1, 3.0)
    assert (later["window_seconds"], later["throughput_requests"]) == (5.0, 0.2)


def test_the_summarys_shares_are_parts_of_the_summed_response_time():
    whole = summary(table(), warmup=0.0)
    assert whole["predicting_share"] == pytest.approx(1.5 / 8)
    assert whole["scheduling_share"] == pytest.approx(0.6 / 8)
    assert whole["offloaded_share"] == pytest.approx(1 / 3)


CALLING = {"calls": [2, 0, 1, 3], "call_seconds": [1.5, 0.0, 0.75, 4.0]}


def test_a_serving_time_leaves_out_what_the_calls_took():
    assert serving_time(table(**CALLING)).tolist() == pytest.approx([1.5, 2.0, 2.25, NAN], nan_ok=True)


def test_where_requests_call_out_the_summary_tells_of_times_with_calls_and_without():
    nothing = {name: [0] * 4 for name in CALLING}
    plain, found = (summary(table(**columns), warmup=0.0) for columns in (nothing, CALLING))
    assert {name: found[name] for name in plain} == plain
    assert found.keys() - plain.keys() == {
        *(f"serving_time_{part}" for part in ("mean", "p50", "p90", "p95", "p99", "max")),
        "normalized_serving_time_mean", "calls_mean", "call_seconds_mean",
    }  # fmt: skip
    assert (found["serving_time_mean"], found["serving_time_p50"], found["serving_time_max"]) == (23 / 12, 2.0, 2.25)
    assert found["normalized_serving_time_mean"] == pytest.approx((1.5 / 5 + 2 / 1 + 2.25 / 3) / 3)
    assert (found["calls_mean"], found["call_seconds_mean"]) == (1.0, 0.75)


def test_the_summary_of_calls_is_of_the_requests_of_the_window_that_finished():
    """The only caller of the window is unfinished at the end, and one before it called too."""
    late = summary(table(calls=[2, 0, 0, 1], call_seconds=[1.5, 0.0, 0.0, 0.5]), warmup=0.5)
    assert (late["serving_time_mean"], late["calls_mean"]) == (late["response_time_mean"], 0.0)
    nobody = summary(table(calls=[1] * 4, call_seconds=[1.0] * 4, status=["censored"] * 4, finished=[NAN] * 4), 0.0)
    assert np.isnan([nobody["serving_time_mean"], nobody["calls_mean"]]).all()


def test_tokens_a_pass_are_those_behind_the_first_of_each_answer():
    found = summary(table(passes=[2, 0, 1, 5], proposed_tokens=[6, 0, 3, 9]), warmup=0.0)
    assert (found["tokens_per_pass_mean"], found["proposed_per_pass_mean"]) == ((4 + 2) / 3, 3.0)
    nobody = summary(table(passes=[0, 0, 0, 5]), warmup=0.0)
    assert np.isnan([nobody["tokens_per_pass_mean"], nobody["proposed_per_pass_mean"]]).all()


def test_rejected_requests_are_counted_and_not_averaged():
    some = summary(table(status=["finished", "rejected", "finished", "rejected"], finished=[3.0, NAN, 9.0, NAN]), 0.0)
    assert (some["finished"], some["rejected"], some["response_time_mean"]) == (2, 2, 3.0)


def test_a_run_without_requests_has_no_averages():
    empty = simulate([], make_policy(), Cluster((make_device(),)), OraclePredictor())
    assert list(empty.requests) == list(table())
    found = summary(empty.requests, warmup=0.1)
    assert found["requests"] == found["finished"] == found["preemptions"] == 0
    assert np.isnan([found["response_time_mean"], found["offloaded_share"], found["throughput_tokens"]]).all()
