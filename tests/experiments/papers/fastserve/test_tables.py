"""FastServe's tables, by hand: at which rate a limit is passed, latency per output token, who is within both limits."""

import math

import numpy as np
import pandas as pd
import pytest

from experiments.figures.stored import Stored
from experiments.papers.fastserve import figures, published, tables


def test_a_limit_is_passed_straight_between_the_rates_that_were_measured():
    assert tables.passes([1, 2, 4], [0.1, 0.2, 0.6], 0.3) == pytest.approx(2.5)
    assert tables.passes([1, 2, 4], [0.1, 0.4, 0.2], 0.3) == pytest.approx(1 + 2 / 3)
    assert math.isnan(tables.passes([1, 2], [0.1, 0.2], 0.3))
    assert math.isnan(tables.passes([1, 2], [0.4, 0.5], 0.3))


def test_the_papers_curves_give_its_own_ratios():
    """2.1 times the rate of vLLM on ShareGPT, 2.75 on Alpaca; 2 times that of FCFS; 1.7 that of reactive swaps."""

    def ratio(curves, other):
        ours, theirs = (tables.passes(*curves.of(system), 0.3) for system in ("fastserve", other))
        return ours / theirs

    assert ratio(published.SHAREGPT, "fastserve_vllm") == pytest.approx(2.1, rel=0.02)
    assert ratio(published.ALPACA, "fastserve_vllm") == pytest.approx(2.75, rel=0.02)
    assert ratio(published.SHAREGPT, "fastserve_fcfs") == pytest.approx(2.0, rel=0.03)
    assert ratio(published.ALPACA, "fastserve_fcfs") == pytest.approx(2.0, rel=0.03)
    assert ratio(published.SHAREGPT_P95, "fastserve_vllm") == pytest.approx(2.1, rel=0.02)
    assert ratio(published.SWAPPING, "fastserve_reactive") == pytest.approx(1.7, rel=0.06)


SECONDS = {"fastserve": (1.0, 2.0, 6.0), "fastserve_vllm": (2.0, 6.0, 9.0)}


class Shelf:
    """As `Stored`: two systems at rates 1, 2 and 4, seeds 0 and 1, two requests each."""

    def table(self, sweep):
        rows = [
            {"system": system, "trace.rate": rate, "seed": seed, "run": f"{system} {at} {seed}",
             "policy.batching.max_num_seqs": 16, "normalized_latency_mean": SECONDS[system][at]}
            for system in SECONDS
            for at, rate in enumerate((1, 2, 4))
            for seed in (0, 1)
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def requests(self, sweep, run, columns):
        system, at, seed = run.split()
        seconds = SECONDS[system][int(at)] + 0.01 * int(seed)
        found = {
            "arrival": [0.0, 1.0], "first_token": [0.5, 3.0], "finished": [seconds, 1 + seconds],
            "output_tokens": [10, 10],
        }  # fmt: skip
        return pd.DataFrame(found)[list(columns)]


def test_latency_is_that_of_an_output_token_and_both_limits_count():
    table = tables.runs(Shelf(), "sharegpt")
    first = table[(table["system"] == "fastserve") & (table["seed"] == 0)].sort_values("trace.rate")
    assert first["mean"].tolist() == first["p95"].tolist() == pytest.approx([0.1, 0.2, 0.6])
    assert first["within 1.55 s"].tolist() == [0.5, 0.0, 0.0]  # the second's first token comes after 2 s
    assert first["within 3.1 s"].tolist() == [1.0, 1.0, 0.0]
    assert first["within 6.2 s"].tolist() == [1.0, 1.0, 0.0]


def test_rates_are_compared_seed_by_seed():
    """0.3 s per token at 2.5 and 1.25 requests/s of one seed, a little less of the other."""
    table = tables.runs(Shelf(), "sharegpt")
    assert tables.rates(table, "fastserve", "mean", 0.3) == pytest.approx([2.5, 2.495])
    assert tables.rates(table, "fastserve_vllm", "mean", 0.3) == pytest.approx([1.25, 1.2475])
    (found,) = tables.ratio_of_rates(Shelf(), "sharegpt", "fastserve_vllm", ("fastserve",))
    assert found.where == "fastserve"
    assert found.value.mean == pytest.approx(2.0)
    goods = tables.ratio_of_goodput(Shelf(), "fastserve_vllm", ("fastserve",))
    assert [one.where for one in goods] == [f"fastserve, {a} s and {b} s" for a, b in tables.SLOS]
    assert math.isnan(goods[0].value.mean)  # too few are within the first limits at any rate
    assert goods[1].value.mean == pytest.approx(2.1 / 1.05)
    (unloaded,) = tables.unloaded(Shelf(), "fastserve")
    assert unloaded.value.mean == pytest.approx(0.1005)


def test_without_results_a_figure_says_how_to_make_them(tmp_path):
    for figure in figures.FIGURES.values():
        with pytest.raises(FileNotFoundError, match="tokenyard -m experiment=size_based/fastserve_"):
            figure.make(Stored(tmp_path, figures.SETTINGS), tmp_path)


def test_each_published_system_has_a_value_for_the_first_of_the_rates():
    for curves in (published.SHAREGPT, published.SHAREGPT_P95, published.ALPACA, published.SWAPPING):
        for values in curves.values.values():
            assert 5 <= len(values) <= len(curves.rates)
            assert np.all(np.diff(curves.rates) > 0)
