"""What SplitLLM's tables make of the server's work and of waits."""

import numpy as np
import pandas as pd
import pytest

from experiments.papers.splitllm.tables import by_formula, gain


def test_a_gain_is_of_what_the_greedy_rule_leaves():
    shares = pd.DataFrame({"dynamic": [0.3, 0.0, 0.0], "best_ratio": [0.4, 0.5, 0.0]})
    assert gain(shares, "best_ratio").tolist() == pytest.approx([25, 100, 0])  # none where nothing is left


def test_the_formula_is_that_of_exponential_sizes():
    """Waits of load / (1 - load) mean sizes; half of each size is saved in the second case."""
    sizes = pd.Series(-np.log1p(-(np.arange(20000) + 0.5) / 20000))
    assert by_formula(sizes, sizes, 0.8) == pytest.approx(0.8 / 0.2, rel=0.01)
    assert by_formula(sizes / 2, sizes, 0.8) == pytest.approx(0.5 * 0.4 / 0.6, rel=0.01)
    assert np.isnan(by_formula(sizes, sizes, 1.0))
