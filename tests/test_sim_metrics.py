"""The metrics of small tables made by hand."""

import numpy as np
import pytest
from conftest import make_device, make_policy

from policies.predictors.oracle import OraclePredictor
from sim import Cluster, simulate
from sim.metrics import distribution, inside, measured_window, response_time, summary, throughput, tpot, ttft

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
        "predicted_tokens": [5.0, 1.0, 3.0, 9.0],
        "uncertainty": [5.0, 1.0, 3.0, 9.0],
        "predictor_seconds": [0.1] * 4,
        "overhead_seconds": [0.2, 0.1, 0.3, NAN],
        "queued": [0.5, 2.5, 6.5, 10.5],
        "first_scheduled": [0.5, 3.0, 7.0, NAN],
        "first_token": [1.0, 4.0, 8.0, NAN],
        "finished": [3.0, 4.0, 9.0, NAN],
        "preemptions": [0, 2, 0, 1],
    }
    return {name: np.array(column) for name, column in {**rows, **columns}.items()}


def test_response_time_and_time_to_first_token_count_from_arrival():
    assert response_time(table())[:3].tolist() == [3.0, 2.0, 3.0]
    assert ttft(table())[:3].tolist() == [1.0, 2.0, 2.0]
    assert np.isnan([response_time(table())[3], ttft(table())[3]]).all()


def test_time_per_output_token_leaves_out_the_first_and_is_undefined_for_one():
    assert tpot(table()).tolist() == pytest.approx([0.5, NAN, 0.5, NAN], nan_ok=True)


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


def test_a_distribution_leaves_out_what_is_undefined():
    parts = distribution("x", np.array([*range(1, 102), NAN]))
    assert parts == {"x_mean": 51.0, "x_p50": 51.0, "x_p95": 96.0, "x_p99": 100.0, "x_max": 101.0}
    assert np.isnan(list(distribution("x", np.array([NAN])).values())).all()


def test_the_summary_is_of_the_requests_that_arrived_in_the_window():
    whole = summary(table(), warmup=0.0)
    assert (whole["requests"], whole["finished"], whole["rejected"], whole["censored"]) == (4, 3, 0, 1)
    assert whole["response_time_mean"] == pytest.approx(8 / 3)
    assert whole["ttft_max"] == 2.0
    assert whole["tpot_mean"] == 0.5
    assert whole["normalized_latency_mean"] == pytest.approx((3 / 5 + 2 / 1 + 3 / 3) / 3)
    assert (whole["throughput_requests"], whole["throughput_tokens"], whole["window_seconds"]) == (0.3, 0.9, 10.0)
    assert whole["preemptions"] == 3
    later = summary(table(), warmup=0.5)
    assert (later["requests"], later["finished"], later["response_time_mean"]) == (2, 1, 3.0)
    assert (later["window_seconds"], later["throughput_requests"]) == (5.0, 0.2)


def test_the_summarys_shares_are_parts_of_the_summed_response_time():
    whole = summary(table(), warmup=0.0)
    assert whole["predicting_share"] == pytest.approx(1.5 / 8)
    assert whole["scheduling_share"] == pytest.approx(0.6 / 8)
    assert whole["offloaded_share"] == pytest.approx(1 / 3)


def test_rejected_requests_are_counted_and_not_averaged():
    some = summary(table(status=["finished", "rejected", "finished", "rejected"], finished=[3.0, NAN, 9.0, NAN]), 0.0)
    assert (some["finished"], some["rejected"], some["response_time_mean"]) == (2, 2, 3.0)


def test_a_run_without_requests_has_no_averages():
    empty = simulate([], make_policy(), Cluster((make_device(),)), OraclePredictor())
    assert list(empty.requests) == list(table())
    found = summary(empty.requests, warmup=0.1)
    assert found["requests"] == found["finished"] == found["preemptions"] == 0
    assert np.isnan([found["response_time_mean"], found["offloaded_share"], found["throughput_tokens"]]).all()
