"""The search for a rule's settings, and that the policies have what was found."""

import itertools
import json

import numpy as np
import pytest

from experiments.papers.best_effort import tuning
from experiments.papers.best_effort.tuning import FIRST_SEED, KEPT, ROUNDS, RULES, TUNED, search
from tests.door import composed


def test_halving_keeps_the_best_and_shows_them_more():
    asked = []

    def score(values, traces):
        asked.append((values["at"], traces))
        return -abs(values["at"] - 5) + (100 if values["at"] == 9 and traces == 2 else 0)  # lucky at first

    rounds = [*search(score, [{"at": at} for at in range(10)], 2)]
    assert [(one.traces, len(one.found)) for one in rounds] == [(2, 10), (6, 3), (18, 1)]
    assert [values["at"] for _, values in rounds[0].found[:3]] == [9, 5, 4]
    assert rounds[-1].found == [(0, {"at": 5})]
    assert asked[10:] == [(9, 6), (5, 6), (4, 6), (5, 18)]


def test_rates_are_spread_evenly_over_the_range():
    rates = sorted(tuning.rate(number, (0.0, 16.0)) for number in range(15))
    assert rates == [float(at) for at in range(1, 16)]


def test_a_search_takes_the_simulated_requests_that_it_is_given_and_starts_with_what_it_is_around():
    known = {"limits": [40.0, 80.0]}
    seen = []

    def performance(values, number):
        seen.append((values, number))
        return values["limits"] == known["limits"] and "of_task" not in values

    requests = ROUNDS * tuning.EACH * 2 * 3 * KEPT
    found = tuning.searched("threshold_by_task", requests, performance, 0, known)
    assert found["values"] == known
    assert found["performance"] == 1
    assert found["requests"] == requests == tuning.EACH * len(seen)
    assert all(set(values.get("of_task", tuning.TASKS)) == set(tuning.TASKS) for values, _ in seen)


def test_half_of_a_later_search_is_near_what_was_best():
    best = {"limits": [40.0, 80.0]}
    found = tuning.candidates("threshold", 200, np.random.default_rng(0), best, first=False)
    assert found[0] == best
    shares = [one["limits"][0] / 40 for one in found]
    assert 0.95 < np.exp(np.mean(np.log(shares[1:101]))) < 1.1
    assert np.std(np.log(shares[1:101])) == pytest.approx(0.3, abs=0.06)
    assert np.std(np.log(shares[101:])) > 1
    assert len(tuning.candidates("threshold", 9, np.random.default_rng(0), {}, first=True)) == 9


def test_rates_stay_in_order():
    rng = np.random.default_rng(0)
    moved = [tuning.near(rng, {"rates": [100.0, 101.0], "seconds": 1.0})["rates"] for _ in range(50)]
    assert all(one == sorted(one) for one in moved)


def test_performance_is_that_of_a_run_with_these_settings(monkeypatch):
    monkeypatch.setattr(tuning, "EACH", 60)
    traces = tuning.Traces("best_effort_threshold", [])
    large, small = (traces.performance({"limits": limits}, 0) for limits in ([99, 0], [0, 0]))
    assert 0.65 < small < 0.85 < large <= 1  # the quality of 125M over that of 6.7B, by task


def test_evaluation_has_other_seeds():
    with_seeds = composed("experiment=best_effort/base")
    assert max(with_seeds.seed) < FIRST_SEED


@pytest.mark.parametrize("name", RULES)
def test_the_policies_have_what_was_found(name):
    found = json.loads(TUNED.read_text())[name]
    routing = composed(f"policy={RULES[name].policy}", "cluster=opt_family", "reward=best_effort").policy.routing
    assert {key: routing[key] for key in found["values"]} == found["values"]
    best = max(one["performance"] for one in found["searches"])
    assert found["performance"] == best
    assert all(one["rounds"][0]["candidates"] >= KEPT ** (ROUNDS - 1) for one in found["searches"])
    traces = [one["traces"] for one in found["searches"][0]["rounds"]]
    assert all(later == KEPT * earlier for earlier, later in itertools.pairwise(traces))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("reward=none", "--given reward=none: without a reward there is no performance"),
        ("rewrad=x", "--given rewrad=x: "),
    ],
)
def test_what_leaves_nothing_to_search_for_is_told(given, says, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tuning.main(["threshold", "--given", given, "--output", str(tmp_path / "made" / "tuned.json")])
    assert says in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
