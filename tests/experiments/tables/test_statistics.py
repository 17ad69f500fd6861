"""Intervals cover as often as they say, a change is the ratio of the means, and repeated observations count once."""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from experiments.tables import coverage
from experiments.tables.reference import Reference
from experiments.tables.stats import change, distinct, holm, interval, p_value, quantile

REQUESTS, SEEDS, LOAD, SIGMA = 300, 300, 1.2, 0.8


def served(order: str, arrivals: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """When each request is done on one server, first come first served or shortest first."""
    now, came, waiting, done = 0.0, 0, [], np.empty(len(sizes))
    for _ in sizes:
        if not waiting:
            now = max(now, arrivals[came])
        while came < len(sizes) and arrivals[came] <= now:
            heapq.heappush(waiting, (sizes[came] if order == "sjf" else came, came))
            came += 1
        _, chosen = heapq.heappop(waiting)
        now += sizes[chosen]
        done[chosen] = now
    return done


@pytest.fixture(scope="module")
def population() -> pd.DataFrame:
    """A collected table of many seeds: an overloaded server, sizes lognormal."""
    rows = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        sizes = rng.lognormal(-(SIGMA**2) / 2, SIGMA, REQUESTS)
        arrivals = np.cumsum(rng.exponential(1 / LOAD, REQUESTS))
        for order in ("fifo", "sjf"):
            done = served(order, arrivals, sizes)
            rows.append(
                {"policy": order, "seed": seed, "run": f"{len(rows):016x}"}
                | {"response_time_mean": (done - arrivals).mean()}
                | {"throughput_requests": (done <= arrivals[-1]).sum() / arrivals[-1]}
            )
    return pd.DataFrame(rows)


def test_printed_intervals_of_five_seeds_cover_93_to_97_percent(population: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    found = coverage.study(population, Reference.of(None), 5, 1000, rng, every=True).set_index("quantity")
    for metric in ("response time", "throughput"):
        for quantity in ("difference", "%"):
            assert 93 <= found.loc[f"{metric}, {quantity}", "printed"] <= 97, (metric, quantity)
    assert found.loc["response time, %", "as before"] > 97, "a difference over a mean as if that were known: too wide"


def test_coverage_prints_its_table_and_refuses_a_small_one(
    population: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    population.to_parquet(tmp_path / "table.parquet")
    assert coverage.main([str(tmp_path / "table.parquet"), "--all-methods", "--resamples", "200"]) == 0
    told = capsys.readouterr().out
    assert "200 resamples of 5 seeds" in told
    assert "Fieller" in told
    assert "printed: 4 of 4 differences and percentages within 93 to 97 %" in told
    population[population["seed"] < 150].to_csv(tmp_path / "small.csv", index=False)
    assert coverage.main([str(tmp_path / "small.csv")]) == 1
    told = "tokenyard evaluate coverage: sjf has 150 seeds with a run of fifo, and needs 200\n"
    assert capsys.readouterr().err == told
    assert coverage.main([str(tmp_path / "none.csv")]) == 1


def test_the_interval_of_a_mean_is_students_with_fewer_degrees_of_freedom() -> None:
    values = [1.0, 2.0, 4.0, 7.0, 11.0]
    found = interval(values)
    assert found.mean == 5
    degrees = 2 / (2 / 4 + 0.5 / 5)
    assert found.half_width == pytest.approx(stdtrit(degrees, 0.975) * np.std(values, ddof=1) / np.sqrt(5))
    assert stdtrit(4, 0.975) < quantile(5) < stdtrit(3, 0.975)
    assert quantile(1000) == pytest.approx(1.96, abs=0.01)
    assert np.isnan(interval([1.0]).half_width)
    assert f"{interval([1.0, np.nan]):.2f} {interval([]):.2f}" == "1.00 -"


def test_a_change_is_the_ratio_of_the_means_over_pairs_with_the_jackknifes_interval() -> None:
    ours, theirs = np.array([1.0, 2.0, 6.0]), np.array([2.0, 5.0, 5.0])
    found = change(ours, theirs)
    assert found.mean == pytest.approx(-25), "9 over 12: neither the mean of the ratios, nor the difference over 9"
    left_out = [100 * (8 / 10 - 1), 100 * (7 / 7 - 1), 100 * (3 / 7 - 1)]
    half = quantile(3) * np.sqrt(2 / 3 * np.square(np.array(left_out) - np.mean(left_out)).sum())
    assert found.half_width == pytest.approx(half)
    assert change(np.append(ours, np.nan), np.append(theirs, 1.0)) == found, "a pair that is not known is left out"


def test_changes_of_several_cells_are_averaged_or_weighed() -> None:
    ours, theirs = [[1.0, 3.0], [2.0, 4.0]], [[2.0, 1.0], [4.0, 1.0]]
    assert change(ours, theirs).mean == pytest.approx((-50 + 250) / 2)
    assert change(ours, theirs, weights=(1, -1)).mean == pytest.approx(-50 - 250)


def test_a_p_value_is_below_5_percent_where_the_interval_leaves_out_0() -> None:
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.5, 1.0, 2.0):
        found = interval(shift + rng.standard_normal(5))
        assert (p_value(found, 5) < 0.05) == (abs(found.mean) > found.half_width)
    assert p_value(interval([-1.0, 1.0]), 2) == 1.0
    edge = interval([1.0, 2.0, 3.0, 4.0])
    assert p_value(type(edge)(edge.half_width, edge.half_width), 4) == pytest.approx(0.05)
    assert np.isnan([p_value(interval([1.0]), 1), p_value(interval([1.0, 1.0]), 2)]).all()


def test_holm_corrects_for_the_number_of_p_values_and_keeps_their_order() -> None:
    nan = float("nan")
    corrected = holm([0.01, 0.04, 0.03, nan, 0.005])
    assert corrected[[0, 1, 2, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(corrected[3])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_what_is_there_twice_to_the_last_bit_is_one_observation() -> None:
    assert np.isnan(interval([0.25] * 5).half_width)
    assert np.isnan(change([1.0] * 5, [2.0] * 5).half_width)
    assert change([1.0, 1.0, 3.0], [2.0, 2.0, 4.0]) == change([1.0, 3.0], [2.0, 4.0])
    runs = pd.DataFrame({"seed": range(4), "response_time_mean": [1.0, 1.0, 2.0, 2.5], "throughput_requests": 1.0})
    assert distinct(runs)["seed"].tolist() == [0, 2, 3]
