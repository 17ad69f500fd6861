"""SSJF's tables: its throughput by hand, its mistakes, and jobs of its simulator as they are timed there."""

import numpy as np
import pytest

from experiments.papers.ssjf import tables
from experiments.papers.ssjf.tables import accuracy, early_throughput
from tests.door import decide

SIMULATOR = ("experiment=size_based/ssjf_simulator", "trace.rate=2")


def test_the_throughput_counts_who_was_complete_before_the_quarter():
    """Of 50 the position is int(0.25 * 49) = 12: twelve were complete before the one at 13 s."""
    assert early_throughput(np.arange(50.0) + 1.0) == pytest.approx(12 / 13)
    assert early_throughput(np.array([4.0, np.nan, 2.0, 8.0, 9.0, 16.0])) == pytest.approx(1 / 4)


def test_the_configured_mistakes_are_those_of_60_percent():
    assert accuracy(None)[0].value.mean == pytest.approx(60.0, abs=0.1)


def test_every_mean_of_the_simulator_has_one_beside_it():
    means = tables.PUBLISHED["means"]
    assert sum(len(systems) for rates in means.values() for systems in rates.values()) == 27
    assert set(means) == set(tables.BATCHINGS) - {"guarded_continuous"}


@pytest.mark.parametrize("system", ["ssjf_fcfs", "ssjf_oracle", "ssjf_simulator"])
def test_a_job_takes_a_tenth_of_a_second_and_twenty_milliseconds_a_token(system):
    _, run = decide(*SIMULATOR, f"system={system}", "policy/batching=guarded_single")
    table = run.requests
    own = table["finished"] - table["first_scheduled"]
    assert own == pytest.approx(0.1 + 0.02 * (table["output_tokens"] - 5))
    assert set(table["arrival"] % 1.0) == {0.0}


@pytest.mark.parametrize("eviction", ["recompute", "swap"])
def test_who_is_left_by_a_batch_loses_nothing_there(eviction):
    """Two run until the shorter is complete: in all they take as long as if each had run alone, in pairs."""
    more = ("policy/batching=guarded_until_shortest", f"policy/eviction={eviction}", "system=ssjf_oracle")
    metrics, run = decide(*SIMULATOR, *more)
    assert run.requests["preemptions"].sum() > 0
    ends = np.sort(run.requests["finished"])
    tokens = run.requests["output_tokens"].sum()
    assert 0.02 * tokens / 2 <= ends[-1] <= 0.02 * tokens
    kept = decide(*SIMULATOR, more[0], "policy/eviction=keep", more[2])[0]
    assert metrics["response_time_mean"] == pytest.approx(kept["response_time_mean"])
