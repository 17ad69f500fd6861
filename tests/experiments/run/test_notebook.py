"""Results as frames: of a folder, and of one run by its settings, which is the command line's own run."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiments.notebook import frames, run
from experiments.settings.wording import SettingError
from tests.conftest import ROOT
from tests.experiments.run.test_run import small

SETTINGS = small("predictor=oracle", "trace.requests=30")


def test_one_run_is_the_run_of_the_command_line(tmp_path: Path):
    line = [sys.executable, "-m", "experiments.cli", *SETTINGS, "policy=fifo", f"results={tmp_path}"]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    [made] = tmp_path.glob("*/*/status.json")
    before = made.stat().st_mtime_ns
    found = run(*SETTINGS, "policy=fifo", f"results={tmp_path}")
    assert list(tmp_path.glob("*/*/status.json")) == [made]
    assert made.stat().st_mtime_ns == before  # kept, not made anew
    assert found.summaries["run"].tolist() == [made.parent.name]
    assert found.steps.empty
    stored = pd.read_parquet(made.parent / "requests.parquet")
    pd.testing.assert_frame_equal(found.requests[stored.columns], stored)
    assert set(found.requests["policy"]) == {"fifo"}
    assert found.requests["measured"].sum() == found.summaries["requests"].item()


def test_a_folder_gives_the_rows_of_all_its_runs_with_their_settings(tmp_path: Path):
    for policy in ("fifo", "sjf"):
        run(*SETTINGS, f"policy={policy}", "seed=[0,1]", "record=steps", f"results={tmp_path}", "name=mine")
    found = frames(tmp_path / "mine")
    assert len(found.summaries) == 4
    assert found.requests.groupby(["policy", "seed"]).size().tolist() == [30] * 4
    measured = found.requests.query("measured and status == 'finished'")
    means = (measured["finished"] - measured["arrival"]).groupby(measured["run"]).mean()
    expected = found.summaries.set_index("run")["response_time_mean"]
    pd.testing.assert_series_equal(means.sort_index(), expected.sort_index(), check_names=False)
    ends = found.steps.groupby("run")["end"].max()
    assert (ends == found.requests.groupby("run")["finished"].max()).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["polcy=fifo"], "polcy=fifo: no such setting; did you mean policy"),
        (["policy=fifo,sjf"], "policy=fifo,sjf is several values"),
        (["-m", "policy=fifo,sjf"], "run takes settings, and no flags; got -m policy=fifo,sjf"),
        (["trace.requests=-1"], "trace.requests"),
    ],
)
def test_settings_that_cannot_be_run_are_refused_before_anything_is_made(tmp_path: Path, given, said):
    with pytest.raises(SettingError) as refused:
        run(*given, f"results={tmp_path}")
    assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_says_why(tmp_path: Path):
    with pytest.raises(RuntimeError, match=r"unservable=fail .*: request 0 needs 119 tokens of KV, gpu has 16"):
        run(*SETTINGS, "unservable=fail", "cluster.devices.gpu.kv_tokens=16", f"results={tmp_path}")


def test_a_folder_without_runs_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no complete run below"):
        frames(tmp_path)
