"""What is computed of a run's requests, by hand."""

import numpy as np
import pandas as pd
import pytest

from experiments.papers.shootout import runs
from profiles.profile import load
from sim.step import Step
from tests.door import CONF

A100 = load("llama-3.1-8b", "a100_sxm")


def table(**columns) -> dict[str, pd.Series]:
    """Ten requests of equal lengths a second apart, the last of which was rejected; all are measured but the first."""
    arrival = np.arange(10.0)
    rows = {
        "arrival": arrival, "status": ["finished"] * 9 + ["rejected"], "prompt_tokens": 100, "output_tokens": 11,
        "queued": arrival, "first_scheduled": arrival + 0.5, "first_token": arrival + 0.75, "finished": arrival + 1.0,
        "longest_stop": 0.0, "predicted_tokens": 7.0,
    }  # fmt: skip
    return dict(pd.DataFrame({**rows, **columns}).items())


def test_a_request_alone_takes_its_prefill_and_a_step_for_each_further_token():
    [one, longer] = runs.alone_seconds(np.array([100, 100]), np.array([1, 11]))
    assert one == A100.step_time(Step(prefill_tokens=100, prefill_attended=5050, prefill_jobs=1))
    assert longer - one == pytest.approx(10 * A100.step_time(Step(decode_jobs=1, decode_context=105)))


def test_the_slowdown_is_against_that():
    found = runs.of_requests(table(), rate=2.0)
    [alone] = runs.alone_seconds(np.array([100]), np.array([11]))
    assert found["slowdown_mean"] == pytest.approx(1.0 / alone)
    assert found["wait_p99"] == pytest.approx(0.5)


def test_sizes_are_fifths_by_the_time_alone_and_the_longest():
    long = np.arange(1, 11) * 10
    found = runs.of_requests(table(arrival=0.0, output_tokens=long, status="finished", finished=long * 1.0), rate=2.0)
    slowdowns = long / runs.alone_seconds(np.full(10, 100), long)
    assert found["slowdown_1"] == pytest.approx(slowdowns[:2].mean())
    assert found["slowdown_5"] == pytest.approx(slowdowns[8:].mean())
    many = table()
    many = {name: pd.concat([column] * 20, ignore_index=True) for name, column in many.items()}
    many["finished"] = many["arrival"] + 1.0
    many["output_tokens"] = pd.Series(range(2, 202))
    found = runs.of_requests(many, rate=1.0)
    assert found["slowdown_longest"] < found["slowdown_5"] < found["slowdown_1"]  # the longer alone, the less by 1 s


def test_the_concordance_of_predictions_is_told_where_there_are_any():
    lengths = np.arange(10) + 2
    assert np.isnan(runs.of_requests(table(output_tokens=lengths), rate=1.0)["tau"])
    assert runs.of_requests(table(output_tokens=lengths, predicted_tokens=lengths), rate=1.0)["tau"] == pytest.approx(
        1.0
    )
    assert runs.of_requests(table(output_tokens=lengths, predicted_tokens=-lengths), rate=1.0)["tau"] == pytest.approx(
        -1.0
    )


def test_goodput_is_what_comes_in_time_of_all_that_came_in_the_window():
    """Of nine measured, one of them rejected, all are within 1 s and 50 ms; with three first tokens late five are."""
    assert runs.of_requests(table(), rate=4.5)["goodput_strict"] == pytest.approx(4.0)
    late = np.where(np.arange(10) % 3 == 1, 20.0, 0.75) + np.arange(10)
    found = runs.of_requests(table(first_token=late, finished=late + 0.25), rate=4.5)
    assert found["goodput_strict"] == pytest.approx(2.5)
    slow = runs.of_requests(table(finished=np.arange(10) + 0.75 + 10 * 0.07), rate=4.5)
    assert (slow["goodput_strict"], slow["goodput_loose"]) == (0.0, pytest.approx(4.0))


def test_an_answer_of_one_token_has_no_time_per_token_to_miss():
    assert runs.of_requests(table(output_tokens=1), rate=4.5)["goodput_strict"] == pytest.approx(4.0)


def test_clients_are_compared_by_their_mean_slowdowns():
    clients = np.array(["a"] * 10 + ["b"] * 10 + ["c"])
    slowdown = np.array([1.0] * 10 + [2.0, 4.0] * 5 + [90.0])  # c sent too few
    found = runs.of_clients(clients, slowdown)
    assert found["clients_jain"] == pytest.approx(4**2 / (2 * (1 + 9)))
    assert found["clients_spread"] == pytest.approx(2.0)


def test_each_sweep_is_there_and_is_of_the_warm_up_that_is_cut():
    for sweep in runs.SWEEPS:
        assert (CONF / "experiment" / f"{sweep}.yaml").exists()
    assert f"warmup: {runs.WARMUP}" in (CONF / "config.yaml").read_text()
