"""At which load speculation stops paying, on tables made by hand."""

import pandas as pd
import pytest

from experiments.papers.speculative.figures import DRAFT, TARGET, gain, tokens_a_pass
from experiments.papers.speculative.load import changes, crossing, throughput
from policies.decoding.drafted import Drafted
from profiles.profile import load


def runs(*seconds):
    """A table of mean response times, one list a seed, at 1, 2, 4 and 8 requests/s."""
    return pd.DataFrame(
        [
            {"seed": seed, "trace.rate": rate, "response_time_mean": mean, "throughput_requests": rate / mean}
            for seed, own in enumerate(seconds)
            for rate, mean in zip((1, 2, 4, 8), own, strict=True)
        ]
    )


PLAIN = runs([1.0, 1.0, 1.0, 2.0], [1.0, 1.0, 1.0, 2.0])


def test_it_pays_up_to_where_the_ratio_is_one():
    """By hand: of one seed it is 1 midway from 2/s to 4/s in the log of the ratio, of the other at three quarters."""
    found = crossing(runs([0.5, 0.5, 2.0, 4.0], [0.5, 0.125, 2.0, 1.0]), PLAIN, "response_time_mean")
    assert found.rate.mean == pytest.approx((3.0 + 3.5) / 2)
    assert found.rate.half_width > 0
    assert found.jobs.mean == pytest.approx((3.0 + 3.5) / 2), "Little's law: a second each"
    assert found.pays == 5 / 8


@pytest.mark.parametrize("other", [[2.0, 2.0, 2.0, 4.0], [0.5, 0.5, 0.5, 1.0]])
def test_where_it_pays_at_no_load_or_at_all_nothing_is_crossed(other):
    found = crossing(runs([0.5, 0.5, 2.0, 4.0], other), PLAIN, "response_time_mean")
    assert found.rate.mean != found.rate.mean


def test_changes_are_of_equal_seeds_and_rates():
    found = changes(runs([0.5, 0.5, 2.0, 4.0], [0.5, 0.5, 2.0, 3.0]), PLAIN, "response_time_mean")
    assert [rate for rate, _ in found] == [1, 2, 4, 8]
    assert [value.mean for _, value in found] == pytest.approx([-50, -50, 100, 75])
    assert throughput(runs([1, 1, 1, 4.0], [1, 1, 1, 4.0]), PLAIN).mean == pytest.approx(-50)


def test_by_the_profiles_alone_a_check_is_free_until_it_is_bound_by_computing():
    target, draft = load(*TARGET), load(*DRAFT)
    found = [gain(target, Drafted(target, draft), tokens_a_pass(0.7, 4), 4, jobs) for jobs in (1, 32, 256)]
    assert found[0] > found[1] > 1.5 > 1 > found[2]
    assert tokens_a_pass(0.7, 4) == pytest.approx((1 - 0.7**5) / 0.3)
