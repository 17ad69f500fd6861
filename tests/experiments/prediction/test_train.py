"""Training from a made pair of files: weights with provenance, judged by prompts never trained on, plain errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.prediction import train as train_predictor
from experiments.prediction.trained import checked, keys
from experiments.run import run
from experiments.run.sweep import LOG_VARIABLE
from experiments.tables.collect import complete_folders
from policies.predictor.weights import load, provenance
from sim import Request, Truth
from traces.castillo import Castillo
from traces.fetch import sha256

COUNT = 90


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Prompts that ask for a name or an essay, every third a copy but for a space, and three answers to each."""
    monkeypatch.setenv("TOKENYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    asks = {"names": ("Name the river of country", 10), "essays": ("Write an essay on country", 400)}
    kinds = [list(asks)[number % 2] for number in range(COUNT)]
    texts = [
        f"{asks[kind][0]} {number - (number % 3 == 2) * 2}{' ' * (number % 3 == 2)}"
        for number, kind in enumerate(kinds)
    ]
    table = {"dataset": kinds, "prompt_id": [f"p{number}" for number in range(COUNT)]}
    pd.DataFrame({**table, "prompt_text": texts}).to_parquet("prompts.parquet")
    rng = np.random.default_rng(0)
    samples = [(asks[kind][1] * rng.lognormal(0, 0.1, 3)).astype(int).tolist() for kind in kinds]
    lengths = pd.DataFrame({**table, "model": "made--model-7B", "input_tokens": 9, "output_tokens": samples})
    lengths.to_parquet("lengths.parquet")
    return {"prompts": str(tmp_path / "prompts.parquet"), "lengths": str(tmp_path / "lengths.parquet")}


def command(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], *arguments: str) -> str:
    """The line that the command ends with, if it fails."""
    given = [f"data.{name}={path}" for name, path in files.items()]
    monkeypatch.setattr(sys, "argv", ["train_predictor", *given, "data.model=model-7B", "bootstrap=20", *arguments])
    try:
        train_predictor.main()
    except SystemExit as ended:
        return str(ended.code)
    return ""


def test_a_made_pair_of_files_is_trained_judged_and_saved(files, monkeypatch, capsys) -> None:
    assert command(monkeypatch, files, "predictor=tfidf", "data.clip=450") == ""
    path = Path("results/predictors/model-7B/tfidf.npz")
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith("tfidf ")
    assert f"{path}: 0.0" in shown.err
    asked = {"Name the river of country 7": (5, 15), "Write an essay on country 1000": (300, 500)}
    for text, (low, high) in asked.items():
        assert low < load(path).predict(Request(0, 0.0, 9, Truth(1), prompt_text=text)).length < high
    found = provenance(path)
    assert (found["predictor"], found["model"], found["samples"]) == ("tfidf", "made--model-7B", 3)
    assert found["training_prompts"] + found["held_out"]["prompts"] == COUNT
    assert len(found["training_keys"]) < found["training_prompts"], "copies share a key"
    assert found["held_out"]["tau"]["low"] <= found["held_out"]["tau"]["value"] <= found["held_out"]["tau"]["high"]
    assert found["data"]["lengths"] == {"file": "lengths.parquet", "sha256": sha256(Path(files["lengths"]))}
    assert found["settings"]["max_terms"] == 20000
    assert found["clipped_samples"] > 0
    assert {"python", "numpy", "scikit-learn"} <= set(found["versions"])
    assert found["processor"]
    assert "Apache-2.0" in found["licence"]
    assert "country" not in json.dumps(found), "no prompt goes into the provenance"


def test_no_training_prompt_is_replayed_with_the_same_share_and_another_share_is_refused(files, monkeypatch) -> None:
    assert command(monkeypatch, files, "predictor=history", "output=history.npz") == ""

    def replay(share: float) -> pd.DataFrame:
        source = Castillo(1.0, 500, "made", files["prompts"], files["lengths"], training_share=share)
        return source.replay(np.random.default_rng(0), np.random.default_rng(1))

    monkeypatch.setattr("traces.castillo.cached_scores", lambda texts: np.zeros((len(texts), 6)))
    assert checked("history.npz", replay(0.5)) == sha256(Path("history.npz"))
    with pytest.raises(ValueError, match=r"history.npz was trained on \d+ of the prompts that this trace replays"):
        checked("history.npz", replay(0.1))
    assert checked("history.npz", replay(0.1).drop(columns="prompt_text")) == sha256(Path("history.npz"))


def test_history_goes_by_data_set(files, monkeypatch) -> None:
    assert command(monkeypatch, files, "predictor=history", "output=history.npz") == ""
    short, long = (
        load("history.npz").predict(Request(0, 0.0, 9, Truth(1), task=task)).length for task in ("names", "essays")
    )
    assert short < 60 < 250 < long


def test_copies_share_a_key() -> None:
    assert keys(["Tell  me", "tell me ", "TELL ME"]) == keys(["tell me"])
    assert len(keys(["tell me", "tell you"])) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predictor=oracle"], "predictor=oracle is not fitted to answers, so there is nothing to train"),
        (["predictor=noise_additive"], "predictor=noise_additive is not fitted"),
        (["data.model=GPT"], "'GPT' is 0 of the models made--model-7B"),
        (["data.training_share=1"], "training_share must be between 0 and 1, got 1"),
        (["data.training_share=1e-9"], "puts all 90 prompts in one part"),
        (["data.clip=no"], "data.clip must be a whole number from 1, got 'no'"),
        (["bootstrap=0"], "bootstrap must be a whole number from 1, got 0"),
        (["output=weights.pt"], "output must be a file that ends in .npz, got weights.pt"),
        (["data.lengths=nosuch.parquet"], "no trace file 'nosuch.parquet'"),
        (["predictor=tfidf", "predictor.max_terms=0"], "Got 0 instead"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(arguments, said, files, monkeypatch) -> None:
    line = command(monkeypatch, files, *arguments)
    assert line.startswith("tokenyard train: ")
    assert said in line
    assert "\n" not in line
    assert not list(Path().rglob("*.npz"))


def test_settings_that_lightgbm_refuses_are_named(files, monkeypatch) -> None:
    settings = ["predictor.kernel.layers=[]", "predictor.boosting.num_leaves=0"]
    monkeypatch.setattr("experiments.prediction.fitting.ENCODED", ())
    assert "LightGBM refuses {" in command(monkeypatch, files, "predictor=gbm", *settings)


def test_a_run_takes_the_weights_for_its_input_and_refuses_what_they_were_trained_on(
    files, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("traces.castillo.cached_scores", lambda texts: np.zeros((len(texts), 6)))

    def tokenyard(*arguments: str, requests: int = 20) -> int:
        monkeypatch.setenv(LOG_VARIABLE, "")  # the command sets it; it is put back with the rest
        trace = [f"trace.{name}={path}" for name, path in files.items()]
        given = ["policy=sjf", "predictor=trained", "predictor.weights=some.npz", "trace=castillo", "model=gpt2"]
        more = ["trace.model=made", f"trace.requests={requests}", "cluster.devices.cpu.profile.device=l40s"]
        monkeypatch.setattr(sys, "argv", ["tokenyard", *given, *more, *trace, *arguments])
        try:
            run.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    for clip in (2000, 300):
        assert command(monkeypatch, files, "predictor=tfidf", "output=some.npz", f"data.clip={clip}") == ""
        assert tokenyard() == 0
    folders = complete_folders(Path("results"))
    assert len({folder.made_of()["inputs"]["weights"] for folder in folders}) == 2, "other weights, another run"
    for folder in folders:
        foretold = pd.read_parquet(folder.path / "requests.parquet")["predicted_tokens"]
        assert foretold.min() < 20 < 250 < foretold.max()
    capsys.readouterr()
    assert tokenyard("trace.training_share=0.1", requests=200) == 1
    assert "some.npz was trained on" in capsys.readouterr().err
