"""Random command lines run, or are refused in lines that name a setting; the whole run is tests/fuzz_settings.py."""

from __future__ import annotations

import pytest

from tests import fuzz_settings
from tests.settingsfuzz import judge
from tests.settingsfuzz.draw import DAMAGE, Case, draw
from tests.settingsfuzz.judge import (
    COMPLETE,
    DEFECTS,
    IDLE,
    INCOMPLETE,
    LATE,
    PYTHON,
    REFUSED,
    STRICT,
    TRACEBACK,
    UNNAMED,
)

SEED, CONFIGS = 22, 50


@pytest.fixture(scope="module")
def results() -> list:
    return list(fuzz_settings.verdicts(SEED, range(CONFIGS), effects=5))


def test_every_command_line_runs_or_is_refused(results):
    wrong = [(fuzz_settings.command(case), verdict) for case, verdict in results if verdict.outcome in DEFECTS]
    assert wrong == [], f"python tests/fuzz_settings.py --seed {SEED} --configs {CONFIGS}"


def test_many_run_and_many_are_refused(results):
    outcomes = [verdict.outcome for _, verdict in results]
    assert min(outcomes.count(COMPLETE), outcomes.count(REFUSED)) >= CONFIGS // 5
    assert {kind for case, _ in results for kind in case.damage} == set(DAMAGE)


def test_equal_seeds_make_equal_command_lines(tmp_path):
    one, again = ([draw(1, number, tmp_path) for number in range(40)] for _ in range(2))
    assert one == again
    assert one != [draw(2, number, tmp_path) for number in range(40)]


def case(*given: str, damage: tuple[str, ...] = ("made",)) -> Case:
    return Case(0, (), given, damage, False)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("seed=x must be a whole number\n", REFUSED),
        ("Traceback (most recent call last):\n  ...\nseed\n", TRACEBACK),
        ("seed: TypeError: 'int' object is not iterable\n", PYTHON),
        ("failed: seed=x: something of seed\n", LATE),
        ("something is wrong\n", UNNAMED),
        ("seed=x is wrong\nSet HYDRA_FULL_ERROR=1\n", PYTHON),
    ],
)
def test_the_judge_tells_a_refusal_from_a_defect(said, outcome, monkeypatch, tmp_path):
    monkeypatch.setattr(judge, "_typed", lambda arguments, folder: (1, said))
    assert judge.judge(case("seed=x"), tmp_path).outcome == outcome
    if outcome == REFUSED:
        assert judge.judge(case("seed=x", damage=()), tmp_path).outcome == STRICT


def test_the_judge_sees_what_has_no_effect(monkeypatch, tmp_path):
    tiny = ("trace=recorded", "trace.requests=5")
    monkeypatch.setattr(judge, "_typed", lambda arguments, folder: (0, ""))
    assert judge.judge(case("seed=1"), tmp_path).outcome == INCOMPLETE
    monkeypatch.setattr(judge, "_complete", lambda results: judge.Verdict(COMPLETE, ""))
    made = {"+foo.bar=1": IDLE, "++calibration.kappa=3": IDLE, "seed=1": COMPLETE, "seed=0": COMPLETE}
    for given, outcome in made.items():
        verdict = judge.judge(Case(0, (*tiny, "predictor=oracle"), (given,), (), False), tmp_path)
        assert verdict.outcome == outcome, verdict


def test_the_command_counts(capsys, monkeypatch):
    verdict = judge.Verdict(UNNAMED, "nobody knows")
    monkeypatch.setattr(fuzz_settings, "judge", lambda case, folder, effects: verdict)
    assert fuzz_settings.main(["--configs", "3", "--seed", "4"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{UNNAMED} (--seed 4 --only 0): tokenyard ")
    assert said[-1].startswith("3 configurations: 0 complete, 0 refused")
