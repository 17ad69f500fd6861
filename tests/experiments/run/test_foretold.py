"""The predictor of a run, judged on what the run replays."""

import json
import sys

import pytest

from experiments.run import foretold

SMALL = ["trace=poisson", "trace.requests=150", "trace.rate=5", "seed=2"]


@pytest.fixture
def typed(monkeypatch, capsys):
    """What a command line prints, or the line that it ends with."""

    def judge(*arguments):
        monkeypatch.setattr(sys, "argv", ["evaluate_run", *SMALL, *arguments])
        try:
            foretold.main()
        except SystemExit as ended:
            return str(ended.code)
        return capsys.readouterr().out

    return judge


def test_a_drawn_predictor_is_judged_by_the_answers_of_the_trace(typed):
    found = json.loads(typed("predictor=noise_multiplicative", "predictor.sigma=0.3", "+bootstrap=40", "+json=true"))
    assert found["tau"]["low"] < found["tau"]["value"] < found["tau"]["high"]
    assert 0.5 < found["tau"]["value"] < 0.95
    assert found["coverage"]["value"] == pytest.approx(0.9, abs=0.07)
    assert found["coverage50"]["value"] == pytest.approx(0.5, abs=0.13)
    assert found["crps"]["value"] < found["mae"]["value"]
    assert (found["predictor"], found["seed"]) == ("noise_multiplicative", 2)


def test_the_oracle_is_certain_and_right(typed):
    out = typed("predictor=oracle", "+bootstrap=2")
    assert out.startswith("synthetic")
    row = out.splitlines()[-1].split()
    assert row[0] == "oracle"
    assert float(row[1]) == 1.0
    assert "0.0 [0.0, 0.0]" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "predictor=oracle +bootstrap=0",
            "tokenyard evaluate run: bootstrap must be a whole number of resamples, at least 1, got 0",
        ),
        ("predictor=oracle trace.request=5", "tokenyard evaluate run: trace.request"),
        ("predictor=samples", "predictor=samples needs a trace with several answers to each prompt; trace=poisson has"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(typed, given, said):
    assert said in typed(*given.split())
