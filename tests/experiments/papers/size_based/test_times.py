"""Ratios of paired means."""

import pandas as pd
import pytest

from experiments.papers.size_based.times import percent, times


def runs(*values, rate=1.0):
    return pd.DataFrame({"seed": range(len(values)), "rate": rate, "latency": values})


def test_times_is_the_ratio_of_means_over_the_same_seeds():
    theirs, ours = runs(4.0, 8.0), runs(2.0, 4.0)
    assert times(theirs, ours, "latency").mean == pytest.approx(2.0)
    assert percent(ours, theirs, "latency").mean == pytest.approx(-50.0)
    unequal = runs(1.0, 5.0)
    assert times(theirs, unequal, "latency") == times(theirs.iloc[::-1], unequal, "latency")
    assert times(theirs, unequal, "latency").half_width > 0


def test_runs_that_cannot_be_paired_are_refused():
    with pytest.raises(ValueError, match="no two runs of equal seed and rate to compare by latency"):
        times(runs(1.0, rate=2.0), runs(1.0), "latency", at=["rate"])
    with pytest.raises(ValueError, match="unique"):
        times(pd.concat([runs(1.0), runs(2.0)]), runs(1.0), "latency")
