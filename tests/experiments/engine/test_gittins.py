"""The verbs about Gittins's order and gamma-Boost: what is told of few trials, and by what."""

import json

import numpy as np
import pytest

from experiments.engine import boost, gittins
from experiments.engine.gittins import ANCHORS, HERE, Estimate, Found, averaged, by_samples, jackknifed, path, served
from experiments.engine.queueing import means, soap
from experiments.engine.queueing.paths import work_found

ONE = "--law", "1-6-14", "--load", "0.8", "--trials", "10"


def test_ratios_of_few_trials_are_told_beside_the_anchors(capsys, monkeypatch):
    monkeypatch.setattr(gittins, "TOKENS", 40)
    assert gittins.main([*ONE, "--runs", "2", "--requests", "100", "--json"]) == 0
    rows = {row["order"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [row["anchor"] for row in rows.values()] == [*ANCHORS["1-6-14", 0.8]]
    assert rows["FCFS"]["mean"] == [pytest.approx(1.085, rel=0.005), 0.0]
    assert rows["PLCFS"]["mean"][0] == pytest.approx(1.305, rel=0.005)
    few, some, many = (rows[name]["mean"][0] for name in ("n=10", "n=100", "n=1000"))
    assert 1 < many < some < few
    assert all(row["engine"][1] > 0 for row in rows.values())
    assert gittins.main([*ONE, "--runs", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7


def test_many_samples_are_as_good_as_the_law_and_few_are_never_better():
    law = HERE["1-6-14"]
    exact = soap.gittins(law, 0.8)
    atoms = np.interp(np.arange(0.5, 4000) / 4000, 1 - law.survival(grid := np.linspace(0, 18, 4000)), grid)
    assert by_samples(law, 0.8, atoms.tolist()) == pytest.approx(exact, rel=2e-3)
    assert by_samples(law, 0.8, [1e-6]) == pytest.approx(
        means.ps(law, 0.8), rel=1e-3
    )  # all older than all that is known
    drawn = [by_samples(law, 0.8, law.draw(np.random.default_rng(seed), 20).tolist()) for seed in range(5)]
    assert min(drawn) > (1 - 1e-3) * exact


def test_an_anchor_is_judged_by_its_noise_and_ours():
    mean, median = Estimate(1.10, 0.01), Estimate(1.05, 0.01)
    rows = [Found("", 0.8, "n=10", anchor, mean, median, None, 100) for anchor in (1.075, 1.12, 1.03, 1.0, None)]
    assert [row.within for row in rows] == ["mean and median", "mean", "median", "neither", ""]
    assert Found("", 0.8, "FCFS", 1.25, Estimate(1.0), Estimate(1.0), None, 100).within == "-20.0 %"


def test_estimates_cover():
    """Of 200 experiments, the mean, the median and a ratio of sums are within two standard errors in about 190."""
    rng, near = np.random.default_rng(1), np.zeros(3)
    for _ in range(200):
        drawn, jobs = rng.normal(2.0, 1.0, 60), rng.exponential(1.0, 60)
        mean, median = averaged(drawn)
        ratio = jackknifed(drawn * jobs, jobs)
        near += [abs(one.value - 2.0) <= 2 * one.error for one in (mean, median, ratio)]
    assert (near > 180).all()
    assert (near < 199).all()
    assert jackknifed(np.ones(3), np.array([0.0, 2.0, 0.0])) is None


def test_a_path_is_of_whole_busy_cycles():
    arrivals, sizes = path(HERE["bounded Pareto"], 0.8, 1, 200, 1000)
    assert len(sizes) == 200 or work_found(arrivals, sizes)[200:].min() > 0
    assert sizes.mean() == pytest.approx(1000, rel=0.4)


def test_the_tail_under_boost_is_told_in_theory_and_on_the_engine(capsys):
    assert boost.main(["--law", "Exp", "--runs", "3", "--requests", "300", "--json"]) == 0
    rows = {row["order"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    theory = {name: row["theory"] for name, row in rows.items()}
    assert theory["FCFS"] == 1.0
    assert theory["known"] == pytest.approx(0.7217, abs=1e-4)
    assert theory["known"] < theory["3 classes"] < theory["2 classes"] < 1
    assert {len(row["ratios"]) for row in rows.values()} == {2}
    assert boost.main(["--law", "H2", "--runs", "0"]) == 0
    assert "0.415" in capsys.readouterr().out


def test_who_serves_first_on_a_path_is_as_its_order_says():
    """Of 60 tokens, then 200, 100 and 2 that come while it runs, 10 tokens apart."""
    arrivals, sizes = np.array([0.0, 10.0, 20.0, 30.0]), np.array([60.0, 200.0, 100.0, 2.0])
    responses = {name: served(arrivals, sizes, *how).tolist() for name, how in boost.parts(boost.LAWS["Exp"]).items()}
    assert responses["FCFS"] == [60.0, 250.0, 340.0, 332.0]
    assert responses["known"] == [60.0, 352.0, 142.0, 32.0]
    assert responses["2 classes"] == responses["3 classes"] == responses["FCFS"]  # all are in the lowest
    assert responses["SRPT"] == [62.0, 352.0, 142.0, 2.0]


@pytest.mark.parametrize(
    ("verb", "wrong", "says"),
    [
        (gittins, "--trials 9", "--trials must be at least 10, got 9"),
        (gittins, "--runs 1", "--runs must be 0, or from 2 to --trials 100, got 1"),
        (gittins, "--trusted 0", "--trusted must be above 0 and at most 1, got 0.0"),
        (gittins, "--requests 5", "--requests must be at least 100, got 5"),
        (boost, "--runs 1", "--runs must be 0 or at least 2, got 1"),
        (boost, "--requests 5", "--requests must be at least 100, got 5"),
    ],
)
def test_a_setting_that_is_wrong_is_named(capsys, verb, wrong, says):
    with pytest.raises(SystemExit):
        verb.main(wrong.split())
    assert says in capsys.readouterr().err
