"""What TIE's claims count of requests, and of the laws of ten answers."""

import numpy as np
import pandas as pd
import pytest

from experiments.papers.distributions.tables import LARGE, latencies, likeliest, passes

REQUESTS = pd.DataFrame({
    "arrival": [0.0, 1.0, 2.0],
    "finished": [10.0, 5.0, 4.0],
    "output_tokens": [10, 2, 1],
})  # fmt: skip


def test_latencies_are_by_token():
    assert latencies(REQUESTS, "mean") == pytest.approx(5 / 3)
    assert latencies(REQUESTS, "p90") == 2.0


@pytest.mark.parametrize("nu", [2.0, 3.5, LARGE])
def test_the_likeliest_law_of_many_answers_is_the_one_they_are_from(nu):
    rng = np.random.default_rng(0)
    logs = 5.0 + 0.3 * (rng.standard_normal((3, 4000)) if nu >= LARGE else rng.standard_t(nu, (3, 4000)))
    middle, scale = likeliest(logs, nu)
    assert middle == pytest.approx(np.full((3, 1), 5.0), abs=0.02)
    assert scale == pytest.approx(np.full((3, 1), 0.3), rel=0.06)


def test_many_answers_of_a_long_tail_do_not_pass_for_lognormal_and_ten_do():
    rng = np.random.default_rng(0)
    many, ten = rng.standard_t(2, (200, 300)), rng.standard_t(2, (200, 10))
    assert passes(many, 2.0).mean() > 0.95
    assert passes(many, LARGE).mean() < 0.05
    assert passes(ten, LARGE).mean() > 0.9
