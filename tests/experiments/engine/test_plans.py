"""How long plans stand: what `tokenyard engine plans` counts."""

import pytest

from experiments.engine import plans
from experiments.engine.cases import BURST, CASES, Case


def test_a_leap_is_a_plan_of_many_steps_and_where_all_comes_at_once_nobody_stops():
    drawn = BURST(None)[:40]
    requests, steps, planned, stops = plans.counted(CASES["waiting_100k"], None, 40)
    assert requests == len(drawn) == 40
    assert steps >= max(request.truth.output_tokens for request in drawn)
    assert 40 <= planned < steps / 2
    assert stops == 0


def test_without_leaping_each_step_is_a_plan(monkeypatch):
    simulate = plans.simulate
    monkeypatch.setattr(plans, "simulate", lambda *parts: simulate(*parts, leap=False))
    _, steps, planned, _ = plans.counted(Case(BURST), None, 5)
    assert steps == planned


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--cases", "synthetic_10k,mine"], "no case 'mine'; there are azure, "),
        (["--requests", "0"], "--requests must be positive, got 0"),
        (["--azure", "nowhere.csv"], "no trace at nowhere.csv"),
    ],
)
def test_a_setting_that_is_wrong_is_named(capsys, wrong, says):
    with pytest.raises(SystemExit):
        plans.main(wrong)
    assert says in capsys.readouterr().err


def test_the_table_has_a_line_a_case(capsys):
    assert plans.main(["--cases", "waiting_300_aging,synthetic_10k", "--requests", "20"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "case", "waiting_300_aging", "synthetic_10k",
    ]  # fmt: skip
