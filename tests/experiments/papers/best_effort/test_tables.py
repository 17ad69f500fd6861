"""Our values for the claims, from runs made up."""

import math

import numpy as np
import pandas as pd
import pytest

from experiments.papers.best_effort import levels, tables
from experiments.papers.best_effort.tables import NETWORK
from experiments.tables.stats import change, interval


def test_without_networks_an_interval_is_that_over_traces():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(2, 1, (10, 1)), rng.normal(1, 0.1, (10, 1))
    one, other = levels.mean(ours), interval(ours[:, 0])
    assert (one.mean, one.half_width) == pytest.approx((other.mean, other.half_width))
    one, other = levels.percent(ours, theirs), change(ours[:, 0], theirs[:, 0])
    assert (one.mean, one.half_width) == pytest.approx((other.mean, other.half_width))


def test_networks_that_differ_widen_it():
    traces, networks = np.arange(10.0)[:, None], np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    found = levels.mean(traces + networks)
    of_traces, of_networks = interval(traces[:, 0]), interval(networks[0])
    assert found.mean == pytest.approx(6.5)
    assert found.half_width == pytest.approx(math.hypot(of_traces.half_width, of_networks.half_width))
    alike = levels.mean(traces + 0 * networks)
    assert alike.half_width == pytest.approx(of_traces.half_width)


def test_an_interval_of_two_levels_covers():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        sample = rng.normal(0, 1, (10, 1)) + rng.normal(0, 1, (1, 5)) + rng.normal(0, 0.5, (10, 5))
        found = levels.mean(sample)
        covered += abs(found.mean) <= found.half_width
    assert 0.92 <= covered / 300 <= 0.99


@pytest.mark.parametrize(
    ("availability", "rate"),
    [((1.0, 0.98, 0.90), 27.5), ((0.9, 0.8, 0.7), 0.0), ((1.0, 1.0, 0.99), 40.0), ((0.95, 0.75, 1.0), 10.0)],
)
def test_up_to_which_rate_so_many_are_in_time(availability, rate):
    assert tables.highest_rate([10.0, 20.0, 40.0], np.array(availability), 0.95) == pytest.approx(rate)


def runs():
    """Two seeds of a rule and of a router with two networks."""
    rows = [
        {"system": "static_large", NETWORK: None, "seed": seed, "performance": 0.5 + seed / 10} for seed in (0, 1)
    ] + [
        {"system": "best_effort", NETWORK: name, "seed": seed, "performance": 0.8 + seed / 10}
        for seed in (1, 0)
        for name in "ba"
    ]
    return pd.DataFrame(rows)


def test_routers_are_compared_on_the_same_traces():
    found = tables.compared(runs(), "best_effort", "static_large", "performance", levels.times)
    assert found.mean == pytest.approx(0.85 / 0.55)
    assert tables.cells(runs()[2:], "performance").tolist() == [[0.8, 0.8], [0.9, 0.9]]
    with pytest.raises(ValueError, match=r"were run with other seeds: \{1\}"):
        tables.compared(runs()[lambda table: table.index != 1], "best_effort", "static_large", "performance")
    with pytest.raises(ValueError, match="1 of 4 lack"):
        tables.cells(runs()[2:5], "performance")


def test_the_best_is_by_the_mean():
    assert tables.best(runs(), ("static_large", "best_effort", "nobody")) == "best_effort"
