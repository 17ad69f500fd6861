"""The measuring of builds in turn, with a stand-in for what is measured; that the cases can be drawn, others test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experiments.engine import growth
from experiments.engine.bench import main
from experiments.engine.timed import BUILDS, Build, measured
from sim.build import BUILD

STAND_IN = "tests.experiments.engine.standin"
HERE = sys.executable


def test_the_lines_are_medians_of_a_process_for_each_build() -> None:
    builds = {"pure": BUILDS["pure"], HERE: Build(sys.executable, {"TOKENYARD_PURE": "1"})}
    lines = measured(STAND_IN, "four", Path("none.csv"), 3, builds)
    assert lines[0] == {
        "case": "four",
        "build": "pure",
        "requests": 4,
        "seconds": 2.0,
        "requests_per_second": 2,
        "timeouts_per_request": 20.0,
        "timeouts_spread": [10.0, 30.0],
        "repeats": 3,
    }
    assert lines[1] == {**lines[0], "python": HERE}


def test_what_is_wrong_in_the_process_is_said() -> None:
    with pytest.raises(ValueError, match="no such thing"):
        measured(STAND_IN, "bad", Path("none.csv"), 1, {"": BUILDS["pure"]})
    with pytest.raises(ValueError, match="ended with exit code 1"):
        measured("no.such.module", "four", Path("none.csv"), 1, {"": BUILDS["pure"]})


@pytest.mark.skipif(BUILD == "compiled", reason="the engine of this process is compiled")
def test_a_build_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="--builds compiled: the engine of"):
        measured(STAND_IN, "four", Path("none.csv"), 1, {"compiled": BUILDS["compiled"]})


@pytest.mark.parametrize(
    ("given", "said"), [(["--builds", "fast"], "no build 'fast'"), (["--cases", "azura"], "no case 'azura'")]
)
def test_what_there_is_not_is_refused(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(given)
    assert said in capsys.readouterr().err


@pytest.mark.long
def test_the_picture_has_what_was_measured(tmp_path: Path) -> None:
    lines = [
        {"case": f"{along}: {size}", "build": kind, "timeouts_per_request": 20.0 + number, "timeouts_spread": [9, 40]}
        for along in ("requests", "batch")
        for kind in ("pure", "compiled")
        for number, size in enumerate(growth.GROWTH[along])
    ]
    assert "cost-of-growth.png" in growth.draw(lines, tmp_path)
    assert len((tmp_path / "cost-of-growth.jsonl").read_text().splitlines()) == len(lines)
    assert (tmp_path / "cost-of-growth.png").stat().st_size > 10_000
