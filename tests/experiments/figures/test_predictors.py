"""The figure of predictors: what evaluate_predictors printed is drawn as it stands, and nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.figures.predictors import draw, read


def line(predictor: str, tau: float) -> str:
    scores = {name: {"value": tau, "low": tau - 0.1, "high": tau + 0.1} for name in ("tau", "tau_within")}
    kind = "ceiling" if predictor == "ceiling" else "predictor"
    return json.dumps({"kind": kind, "model": "maker--one", "predictor": predictor, **scores})


def test_predictors_stand_from_the_worst_to_the_ceiling(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(
        "\n".join([json.dumps({"kind": "header"}), line("good", 0.5), line("bad", 0.1), line("ceiling", 0.8)])
    )
    figure = draw(read([path]))
    (panel,) = figure.axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["bad", "good", "ceiling"]
    assert panel.get_title() == "one"
    filled = panel.get_lines()[0]
    assert filled.get_xdata().tolist() == [0.1, 0.5, 0.8]


@pytest.mark.parametrize(
    ("content", "said"), [("tau 0.3", "not the output of"), ('{"kind": "header"}', "no scores in")]
)
def test_what_is_not_that_output_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        read([path])
