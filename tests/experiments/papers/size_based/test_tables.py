"""What a policy keeps of its gain, by hand, and that all that the table compares is there."""

import numpy as np
import pandas as pd
import pytest

from experiments.papers.size_based import tables
from tests.door import options


def runs(*means: float) -> pd.DataFrame:
    return pd.DataFrame({"seed": range(len(means)), tables.JCT: means})


def test_what_is_kept_is_a_share_of_the_oracles_gain():
    """From 10 s to 6 s the oracle gains 4 s, and another 3 of them; who is slower than FCFS keeps less than nothing."""
    fcfs, oracle = runs(8.0, 12.0), runs(5.0, 7.0)
    assert tables._kept(fcfs, oracle, runs(6.0, 8.0)).mean == pytest.approx(75.0)
    assert tables._kept(fcfs, oracle, oracle).mean == pytest.approx(100.0)
    assert tables._kept(fcfs, oracle, runs(9.0, 13.0)).mean == pytest.approx(-25.0)


def test_its_interval_is_of_the_seeds_that_all_have():
    kept = tables._kept(runs(8.0, 12.0, 50.0), runs(5.0, 7.0, 1.0), runs(6.0, 8.0))
    assert kept.mean == pytest.approx(75.0)
    assert np.isfinite(kept.half_width)


def test_each_policy_has_fcfs_on_its_engine_and_a_predictor_of_its_own():
    assert {f"system={name}" for name in tables.FCFS.values()} <= set(options("system"))
    assert {f"predictor={name}" for name in tables.LEARNED.values()} <= set(options("predictor"))
    assert set(tables.FCFS) - set(tables.LEARNED) == {"fastserve"}
