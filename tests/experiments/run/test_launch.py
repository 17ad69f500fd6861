"""A sweep beyond one process: jobs go to those that are free, and those of a lost node to others."""

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments.conf import HERE, loader
from experiments.run.launch import LauncherError, Processes, Ray, _needs, launcher_of
from experiments.run.made import Work
from experiments.run.sweep import jobs_of
from experiments.settings.check import problems
from experiments.settings.command import read
from experiments.tables.collect import collect, complete_folders
from tests.conftest import ROOT
from tests.experiments.run.test_run import small

TINY = small("trace.requests=20", "predictor=oracle", "policy=fifo,sjf", "trace.rate=20,40")


def begun(results: Path, *settings: str) -> subprocess.Popen:
    """A sweep by the command, from a folder of its own, with its results there."""
    results.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "experiments.cli", "-m", *TINY, f"results={results}", *settings]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        line, cwd=results, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )


def said(sweep: subprocess.Popen) -> str:
    _, errors = sweep.communicate(timeout=900)
    assert sweep.returncode == 0, errors
    return errors.splitlines()[-1]


def table(results: Path) -> pd.DataFrame:
    return collect(complete_folders(results)).sort_values("run", ignore_index=True)


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "hydra" / "launcher").glob("*.yaml")))
def test_every_launcher_is_made_of_its_settings(name, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cfg = OmegaConf.create({"results": "x", "launcher": OmegaConf.load(HERE / "hydra" / "launcher" / f"{name}.yaml")})
    launcher = instantiate(cfg.launcher)
    assert callable(launcher.launch)
    assert launcher == type(launcher)(**{key: value for key, value in cfg.launcher.items() if key != "_target_"})


def test_a_worker_composes_no_choice_that_the_command_has_composed(monkeypatch):
    given = read(["-m", *TINY])
    assert problems(given) == []
    work = pickle.loads(pickle.dumps(Work(replace(given, master=None))))
    monkeypatch.setattr(loader, "_bases", {})
    with given.composer():
        jobs = jobs_of(given.texts)
    loader.keep(work.bases)
    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", None)
    with work.begun():
        found = [work.composed(texts)[0] for texts in jobs]
    assert [(cfg.policy.order._target_.rpartition(".")[2], cfg.trace.rate) for cfg in found] == [
        ("FIFO", 20), ("FIFO", 40), ("SJF", 20), ("SJF", 40)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1.5, "all"])
def test_a_number_of_runs_at_a_time_that_is_none_is_refused(count):
    with pytest.raises(LauncherError, match=f"n_jobs must be a whole number, and not 0, got {count}"):
        Processes(n_jobs=count).launch(None, [["seed=1"]], print)


@pytest.mark.long
def test_the_runs_of_a_lost_node_of_ray_are_taken_up_by_others(tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    sweep = ["seed=range(100)"]
    assert said(begun(tmp_path / "alone", *sweep)) == "400 runs: 400 made now, 0 complete already, 0 failed"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        together = begun(
            tmp_path / "together", *sweep, "hydra/launcher=ray", f"hydra.launcher.address={cluster.address}"
        )
        while len(list((tmp_path / "together").glob("adhoc/*/summary.json"))) < 200:
            assert together.poll() is None, together.communicate()
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)
        told = said(together)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert told.startswith("400 runs: ")
    assert told.endswith(" 0 failed")
    pd.testing.assert_frame_equal(table(tmp_path / "together"), table(tmp_path / "alone"))
    assert not list((tmp_path / "together").rglob(".*")), "no claim and nothing temporary is left"


@pytest.mark.long
def test_submitits_jobs_make_a_share_each_and_the_same_table(tmp_path):
    pytest.importorskip("submitit")
    assert "8 made now" in said(begun(tmp_path / "alone", "seed=0,1", "hydra.launcher.n_jobs=1"))
    assert "8 made now" in said(begun(tmp_path / "jobs", "seed=0,1", "hydra/launcher=submitit_local"))
    pd.testing.assert_frame_equal(table(tmp_path / "jobs"), table(tmp_path / "alone"))


def test_a_launcher_that_cannot_make_runs_says_why():
    hydras = OmegaConf.create({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"})
    with pytest.raises(LauncherError, match=r"BasicLauncher makes no runs here; there are processes, ray"):
        launcher_of(hydras)
    assert str(_needs("ray")) == "hydra/launcher=ray needs the extra ray: pip install 'tokenyard[ray]'"
    with pytest.raises(OSError, match="refused"):
        Ray(address="127.0.0.1:1")._answers()
