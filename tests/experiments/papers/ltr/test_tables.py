"""What LTR's claims count of requests."""

import pandas as pd
import pytest

from experiments.papers.ltr.tables import latencies, longest_wait, mean_latency, p90_latency

REQUESTS = pd.DataFrame({
    "arrival": [0.0, 1.0, 2.0],
    "first_token": [4.0, 2.0, 3.0],
    "finished": [10.0, 5.0, 4.0],
    "output_tokens": [10, 2, 1],
    "longest_stop": [3.0, 2.5, 0.0],
})  # fmt: skip


def test_the_longest_wait_is_for_the_first_token_or_a_stop():
    assert longest_wait(REQUESTS) == pytest.approx((4.0 + 2.5 + 1.0) / 3)


def test_latencies_are_by_token():
    assert latencies(REQUESTS).tolist() == [1.0, 2.0, 2.0]
    assert mean_latency(REQUESTS) == pytest.approx(5 / 3)
    assert p90_latency(REQUESTS) == 2.0
