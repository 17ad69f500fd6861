"""Fitted predictors in files: what is loaded says the same as what was saved, and no other file is taken for one."""

from __future__ import annotations

import functools
import json
import re
import zipfile
from pathlib import Path

import hydra
import numpy as np
import pandas as pd
import pytest

from experiments.run.parts import build_predictor
from policies.predictor import weights
from policies.predictor.constant import constant
from policies.predictor.weights import WeightsError, load, provenance, save
from sim import Request, Truth
from tests.conftest import ROOT
from traces.requests import to_requests
from traces.synthetic.dialogue import SyntheticDialogue

CONF = ROOT / "experiments" / "conf"
FITTED = sorted(path.stem for path in (CONF / "predictor").glob("*.yaml") if "_partial_: true" in path.read_text())
SOURCE = SyntheticDialogue(rate=30.0, requests=1, median_tokens=15.0, max_tokens=60, training_requests=120)
REQUEST = Request(0, 0.0, 5, Truth(1), prompt_text="Tell me more.")


@functools.cache
def training() -> pd.DataFrame:
    return SOURCE.training().assign(client=[f"client {row % 3}" for row in range(120)], task="chat")


def test_the_fitted_predictors_are_those_of_the_configuration() -> None:
    assert {"constant", "gbm", "history", "kernel_ridge", "ltr", "lw", "rules", "tfidf"} < set(FITTED)


def test_the_help_of_training_names_them_all() -> None:
    (line,) = re.findall(r"predictor: ([a-z_,\s]+);", (CONF / "train.yaml").read_text())
    assert set(FITTED) <= {name.strip() for name in line.split(",")}


@pytest.mark.parametrize("name", FITTED)
def test_a_loaded_predictor_says_what_the_saved_one_said(name: str, tmp_path: Path) -> None:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("config", overrides=[f"predictor={name}"])
    predictor = build_predictor(cfg.predictor, training())
    save(predictor, tmp_path / "deep" / "some.npz", {"model": name, "scores": {"tau": 0.5}})
    assert [path.name for path in tmp_path.rglob("*.*")] == ["some.npz"], "no temporary file stays"
    loaded = load(tmp_path / "deep" / "some.npz")
    for request in to_requests(training().head(20)):
        assert loaded.predict(request) == predictor.predict(request)
    assert provenance(tmp_path / "deep" / "some.npz") == {"model": name, "scores": {"tau": 0.5}}


def test_equal_predictors_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save(constant(7.0), tmp_path / f"{name}.npz", {})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_a_save_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(weights.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        save(constant(3.0), tmp_path / "one.npz", {})
    assert not list(tmp_path.iterdir())


def test_what_is_no_plain_value_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a range is no plain value"):
        save(constant(7.0, seconds=range(2)), tmp_path / "some.npz", {})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("config", overrides=["predictor=tfidf"])
    save(build_predictor(cfg.predictor, training()), tmp_path / "saved.npz", {"model": "made"})
    return tmp_path / "saved.npz"


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_that_breaks_off_anywhere_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 1, 3, 50, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        saved.write_bytes(whole[:length])
        assert "cannot be read as weights" in refused(saved)


def test_a_file_with_a_changed_byte_is_refused_or_says_the_same(saved: Path) -> None:
    whole, said = saved.read_bytes(), load(saved).predict(REQUEST)
    places = np.random.default_rng(0).integers(0, len(whole), 300)
    refusals = 0
    for place in places.tolist():
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            assert load(saved).predict(REQUEST) == said
        except WeightsError:
            refusals += 1
    assert refusals > 250


def written(path: Path, content: object, **arrays: np.ndarray) -> Path:
    np.savez(path, content=np.frombuffer(json.dumps(content).encode(), dtype=np.uint8), **arrays)
    return path


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    path.write_text("a predictor")
    assert "cannot be read as weights" in refused(path)
    np.savez(path, other=np.ones(3))
    assert "cannot be read as weights" in refused(path)
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    assert "cannot be read as weights" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.npy", "[]")
    assert "cannot be read as weights" in refused(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        np.save(file, np.array([print], dtype=object))
    assert "allow_pickle=False" in refused(path)
    np.savez(path, content=np.array([{"version": 1}], dtype=object))
    assert "allow_pickle=False" in refused(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "cannot be read as weights"),
        ({"predictor": 1}, "'version'"),
        ({"version": 2, "predictor": 1}, "version is 2, this reads 1"),
        ({"version": 1}, "'predictor'"),
        ({"version": 1, "predictor": 1.5}, "holds no predictor but a float"),
        ({"version": 1, "predictor": {"array": "array0"}}, "'array0'"),
        ({"version": 1, "predictor": {"class": "os.system", "fields": {}}}, "unknown class 'os.system'"),
        ({"version": 1, "predictor": {"class": "policies.predictor.gbm.np", "fields": {}}}, "unknown class"),
        ({"version": 1, "predictor": {"class": "policies.predictor.no.No", "fields": {}}}, "unknown class"),
        ({"version": 1, "predictor": {"class": 7, "fields": {}}}, "holds no predictor"),
        ({"version": 1, "predictor": {"class": "policies.predictor.constant.Constant", "fields": []}}, "no predictor"),
        ({"version": 1, "predictor": {"class": "policies.predictor.constant.Constant", "fields": {}}}, "missing"),
        ({"version": 1, "predictor": {"class": "policies.predictor.ranks.Ranks", "fields": {"logs": 1}}}, "a Ranks"),
    ],
)
def test_foreign_content_is_refused(content: object, said: str, tmp_path: Path) -> None:
    assert said in refused(written(tmp_path / "some.npz", content))


def test_a_missing_file_is_named_with_those_that_ship() -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights 'nosuch\.npz'; those that ship: "):
        load("nosuch.npz")
    assert weights.find(ROOT / "pyproject.toml") == ROOT / "pyproject.toml"
