"""Runs and sweeps: results are complete or absent, a sweep resumes, and what is wrong is named."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from experiments.run import run
from experiments.run.results import Folder, digest
from experiments.run.sweep import LOG_VARIABLE, planned
from experiments.tables.collect import collect, complete_folders
from experiments.tables.compare import compare, render
from experiments.tables.labels import labelled, varying
from tests.conftest import ROOT
from tests.decisions import entries
from tests.experiments.run.test_every_experiment import EXPERIMENTS

PARTS = ("order", "batching", "routing", "eviction", "overhead")
CONF = ROOT / "experiments" / "conf"
SMALL = [
    "trace=dialogue", "trace.requests=60", "trace.training_requests=100", "trace.rate=30", "model=gpt2",
    "cluster.devices.cpu.profile.device=l40s",
]  # fmt: skip


def command(*arguments: str, results: Path) -> list[str]:
    flags = [argument for argument in arguments if argument.startswith("-")]
    settings = [argument for argument in arguments if not argument.startswith("-")]
    return [sys.executable, "-m", "experiments.cli", "run", *flags, *small(*settings), f"results={results}"]


def small(*settings: str) -> list[str]:
    """`settings`, and those of SMALL that they leave as they are."""
    own = {setting.split("=")[0] for setting in settings}
    return [*(setting for setting in SMALL if setting.split("=")[0] not in own), *settings]


def tokenyard(*arguments: str, results: Path, check: int = 0) -> subprocess.CompletedProcess:
    line = command(*arguments, results=results)
    done = subprocess.run(line, cwd=results, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == check, done.stdout + done.stderr
    return done


@pytest.fixture
def typed(monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Does what a command line does, without a process of its own: its exit code, and what it wrote as errors."""

    def run_here(folder: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv(LOG_VARIABLE, "")  # the command sets it; it is put back with the rest
        given = [f"results={folder}", *arguments]
        stock = [one for one in given if one in SMALL or one == given[0]]  # what a test gives anew goes before these
        own = {one.split("=")[0] for one in given if one not in stock}
        typed = [one for one in given if one not in stock or one.split("=")[0] not in own]
        typed.sort(key=lambda argument: not argument.startswith("-"))
        monkeypatch.setattr(sys, "argv", ["tokenyard", *typed])
        try:
            run.main()
        except SystemExit as ended:
            said = capsys.readouterr().err
            return (1, f"{said}{ended.code}") if isinstance(ended.code, str) else (int(ended.code or 0), said)
        return 0, capsys.readouterr().err

    return run_here


def options(group: str) -> list[str]:
    """The options of a group; experiments lie in folders too."""
    found = (CONF / group).glob("**/*.yaml" if group == "experiment" else "*.yaml")
    return sorted(path.relative_to(CONF / group).with_suffix("").as_posix() for path in found)


RUN_ELSEWHERE = {*entries(), *(f"experiment={name}" for name in EXPERIMENTS)}  # and composed before that


@pytest.mark.parametrize(
    "override",
    [
        override
        for group in (
            "policy",
            "predictor",
            "trace",
            "cluster",
            "system",
            "experiment",
            *(f"policy/{one}" for one in PARTS),
        )
        for name in options(group)
        if (override := f"{group}={name}") not in RUN_ELSEWHERE
    ],
)
def test_every_yaml_that_no_other_test_runs_composes(override):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[override])
    assert cfg.policy._target_ == "sim.Policy"


def test_a_run_writes_its_results_and_is_skipped_the_next_time(tmp_path):
    first = tokenyard("policy=rtlm", "record=steps", results=tmp_path)
    (folder,) = complete_folders(tmp_path)
    names = {path.name for path in folder.path.iterdir()}
    assert names == {"config.yaml", "requests.parquet", "steps.parquet", "summary.json", "status.json"}
    requests = pd.read_parquet(folder.path / "requests.parquet")
    assert len(requests) == 60
    assert (requests["finished"] >= requests["arrival"]).all()
    assert "1 made now" in first.stderr
    assert "gpt2/l40s (imported)" in first.stdout
    before = (folder.path / "requests.parquet").stat().st_mtime_ns
    second = tokenyard("policy=rtlm", "record=steps", results=tmp_path)
    assert "1 complete already" in second.stderr
    assert (folder.path / "requests.parquet").stat().st_mtime_ns == before
    assert {path.name for path in tmp_path.iterdir()} == {"adhoc"}, "nothing else is left in the working directory"


def test_a_failed_run_is_named_and_the_others_are_made(tmp_path):
    done = tokenyard(
        "-m",
        "policy=fifo",
        "cluster.devices.gpu.max_model_len=20,1024",
        "unservable=fail",
        "hydra.launcher.n_jobs=1",
        results=tmp_path,
        check=1,
    )
    assert "1 made now, 0 complete already, 1 failed" in done.stderr
    assert "Unservable: request 0 needs" in done.stderr
    assert "max_model_len=20" in done.stderr
    (failed,) = [
        Folder(path.parent) for path in tmp_path.glob("**/status.json") if Folder(path.parent).state == "failed"
    ]
    assert "Unservable" in failed.status()["error"]


STOPS = """
from dataclasses import dataclass
from policies.batching.continuous import Continuous

@dataclass(frozen=True, slots=True)
class Stops(Continuous):
    def victim(self, incoming, running, lacks, now):
        return HOW
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("incoming", r"RuntimeError: Stops.victim names Job\(id=\d+, .*\) at \S+ s, which does not run \(see "),
        ("running[-1]", r"TypeError: 'RankedRunning' object is not subscriptable \(stops.py, line 8\) \(see "),
    ],
)
def test_a_mistake_in_a_policy_from_outside_is_told_in_a_line(tmp_path, typed, monkeypatch, how, said):
    (tmp_path / "stops.py").write_text(STOPS.replace("HOW", how))
    (tmp_path / "policy" / "batching").mkdir(parents=True)
    (tmp_path / "policy" / "batching" / "stops.yaml").write_text("_target_: stops.Stops\nmax_num_seqs: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stops", raising=False)
    code, errors = typed(tmp_path, *SMALL, "policy=fifo", "policy/batching=stops", f"--config-dir={tmp_path}")
    assert code == 1
    (line,) = [one for one in errors.splitlines() if one.startswith("failed: ")]
    assert re.search(said, line), line
    assert "Traceback" not in errors


def test_requests_that_can_never_fit_are_counted_and_the_others_served(tmp_path, typed):
    code, errors = typed(tmp_path, *SMALL, "policy=fifo", "cluster.devices.gpu.max_model_len=40", "warmup=0")
    assert code == 0, errors
    (folder,) = complete_folders(tmp_path)
    found, requests = folder.summary(), pd.read_parquet(folder.path / "requests.parquet")
    fits = requests["prompt_tokens"] + requests["output_tokens"] <= 40
    assert requests["status"].tolist() == ["finished" if one else "rejected" for one in fits]
    assert 0 < found["rejected"] == len(requests) - found["finished"] < len(requests)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["policy=best"], ["policy=best: no such option", "rtlm"]),
        (["policy=up", "policy.order.alhpa=1"], ["policy.order.alhpa=1: no such setting", "mean policy.order.alpha?"]),
        (["policy=up", "policy.order.alpha=nan"], ["policy.order.alpha=nan must be a finite number"]),
        (["trace.rate=-1"], ["trace.rate=-1 must be from"]),
        (["cluster.devices.gpu.profile.device=abacus"], ["no profile of gpt2 on abacus", "gpt2 on l40s"]),
        (["trace=azure_2023_conv", "trace.path=nowhere.csv"], ["nowhere.csv", "TOKENYARD_DATA"]),
        (["trace.requests=5", "warmup=2"], ["warmup=2 must be at least 0 and below 1"]),
        (["unservable=drop"], ["unservable=drop must be reject or fail"]),
        (["cluster.devices.gpu.kv_tokens=10"], ["kv_tokens=10 is less than one block of block_size=16 tokens"]),
    ],
)
def test_bad_input_gets_one_clear_error(tmp_path, typed, monkeypatch, arguments, words):
    foreign = arguments[0].startswith("trace=")
    settings = [one for one in small(*arguments) if one in arguments or not (foreign and one.startswith("trace"))]
    monkeypatch.delenv("TOKENYARD_DATA", raising=False)
    code, errors = typed(tmp_path, *settings)
    assert code == 1
    assert len(errors.splitlines()) == 1
    for word in words:
        assert word in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("**/summary.json"))


def test_a_folder_of_another_configuration_is_refused(tmp_path):
    made_of = {"config": {"seed": 0}, "choices": {}, "inputs": {}, "tokenyard": "0"}
    folder = Folder(tmp_path / digest(made_of))
    folder.begin(made_of)
    assert folder.made_of() == made_of
    (folder.path / "config.yaml").write_text(yaml.safe_dump({**made_of, "config": {"seed": 1}}))
    with pytest.raises(ValueError, match=r"config.yaml is not the configuration of the results beside it"):
        folder.made_of()
    assert folder.state == "running"


def test_a_configuration_is_read_however_its_yaml_is_laid_out(tmp_path):
    config = {
        "seed": 0,
        "none": None,
        "empty": {},
        "list": [{"a": 1}, [2]],
        "text": "- a: b\n  c: d\n\n" + "word " * 40,
    }
    made_of = {"config": config, "choices": {}, "inputs": None, "tokenyard": "0"}
    folder = Folder(tmp_path / digest(made_of))
    folder.begin(made_of)
    assert folder.made_of() == made_of
    for layout in ({"default_flow_style": True}, {"indent": 6}, {"default_style": "|"}, {"explicit_start": True}):
        (folder.path / "config.yaml").write_text(yaml.safe_dump(made_of, **layout))
        assert folder.made_of() == made_of, layout


def test_runs_of_a_sweep_are_counted():
    sweep = ["policy=fifo,sjf", "model=gpt2", "trace.rate=1,2,4"]
    assert len(planned([*sweep, "seed=range(5)"], [0, 1])) == 30
    assert len(planned(sweep, [0, 1])) == 12
    assert len(planned(sweep, 7)) == 6
    assert planned(["policy=fifo", "seed=[1,2]", "policy=up,luf"]) == [
        "policy=up seed=1", "policy=up seed=2", "policy=luf seed=1", "policy=luf seed=2",
    ]  # fmt: skip


def test_a_list_of_seeds_is_a_run_for_each_as_if_each_had_been_given(tmp_path, typed):
    code, said = typed(tmp_path, *SMALL, "seed=[3,4]")
    assert code == 0, said
    assert "2 runs: 2 made now" in said
    code, said = typed(tmp_path, *SMALL, "seed=4")
    assert "1 complete already" in said
    assert sorted(collect(complete_folders(tmp_path))["seed"]) == [3, 4]


def test_tasks_of_the_trace_are_kept_with_the_requests(tmp_path, typed):
    assert typed(tmp_path, *SMALL)[0] == 0
    (folder,) = complete_folders(tmp_path)
    tasks = pd.read_parquet(folder.path / "requests.parquet")["task"]
    assert "plain" in set(tasks)


def test_the_systems_of_a_sweep_are_compared_with_the_reference(tmp_path, typed):
    systems = "system=fifo,sjf_oracle,rtlm,rtlm_recalled"  # the last two are one policy
    assert typed(tmp_path, "-m", *SMALL, systems, "seed=[0,1]", "hydra.launcher.n_jobs=1")[0] == 0
    table = collect(complete_folders(tmp_path))
    assert varying(labelled(table)) == []
    assert set(zip(table["system"], table["policy"], table["predictor"], strict=True)) == {
        ("fifo", "fifo", "constant_given"), ("sjf_oracle", "sjf", "oracle"), ("rtlm", "rtlm", "rules"),
        ("rtlm_recalled", "rtlm", "rules"),
    }  # fmt: skip
    assert "predictor=constant_given or rules or oracle (by policy)" in render(table)
    shown, _ = compare(labelled(table))
    assert sorted(shown["policy"]) == ["fifo", "rtlm", "rtlm_recalled", "sjf_oracle"]


def test_an_oracle_system_with_another_predictor_is_refused(tmp_path, typed):
    code, said = typed(tmp_path, *SMALL, "system=sjf_oracle", "predictor=rules")
    assert code == 1
    assert "system=sjf_oracle goes with predictor=oracle, got rules" in said


def test_a_knob_that_is_swept_names_the_policy_and_is_compared_with_the_reference():
    rows = [("fifo", None, seed, 1.0 + seed) for seed in (0, 1)]
    rows += [("up", alpha, seed, 1.0 + seed + alpha) for alpha in (-4, 2) for seed in (0, 1)]
    table = pd.DataFrame(rows, columns=["policy", "policy.order.alpha", "seed", "response_time_mean"])
    table.insert(3, "run", "x")
    named = labelled(table)
    assert sorted(set(named["policy"])) == ["fifo", "up order.alpha=-4", "up order.alpha=2"]
    assert varying(named) == []
    swept_everywhere = table.assign(**{"policy.order.alpha": [1, 2, 1, 2, 1, 2]}, seed=[0, 0, 0, 0, 1, 1])
    assert set(labelled(swept_everywhere)["policy"]) == {"fifo", "up"}
    assert varying(labelled(swept_everywhere)) == ["policy.order.alpha"]


def test_of_runs_of_equal_settings_made_of_different_things_the_newest_counts_and_the_others_are_named(
    tmp_path, capsys
):
    found = []
    for profile in ("one", "another"):
        config = {"seed": 0, "model": "gpt2"}
        made_of = {"config": config, "choices": {"policy": "fifo"}, "inputs": {"gpu": profile}, "tokenyard": "0"}
        folder = Folder(tmp_path / digest(made_of))
        folder.begin(made_of)
        empty = {"id": np.array([])}
        folder.complete(empty, {}, {"calibration": {}, "provenance": {}, "response_time_mean": 1.0}, [])
        found.append(folder.path.name)
        time.sleep(0.002)  # an instant that is later by more than the milliseconds that are kept
    assert collect(complete_folders(tmp_path))["run"].tolist() == found[1:]
    assert f"left out, older than others of equal settings: {found[0]}" in capsys.readouterr().err


def test_the_reference_of_a_table_needs_no_quotes_and_changes_no_run(tmp_path, typed, monkeypatch):
    tables = []
    monkeypatch.setattr(run, "render", lambda *arguments: tables.append(render(*arguments)) or tables[-1])
    sweep = ["-m", *SMALL, "policy/routing=gpu,offload", "seed=[0,1]", "hydra.launcher.n_jobs=1"]
    assert typed(tmp_path, *sweep)[0] == 0
    _, said = typed(tmp_path, *sweep, "reference=policy/routing=offload")
    assert "0 made now, 4 complete already" in said
    assert "mean - policy/routing=offload" not in tables[0]
    assert "mean - policy/routing=offload" in tables[1]


@pytest.mark.parametrize("slot", ["order", "batching", "routing", "eviction"])
def test_a_part_of_a_slot_is_code_in_the_folder_of_that_slot(slot):
    files = sorted((CONF / "policy" / slot).glob("*.yaml"))
    contents = {file.stem: yaml.safe_load(file.read_text()) for file in files}
    named = {stem: one.get("_target_") or contents[one["defaults"][0]]["_target_"] for stem, one in contents.items()}
    assert named
    assert {stem for stem, name in named.items() if not name.startswith(f"policies.{slot}.")} == set()


@pytest.mark.parametrize("policy", options("policy"))
def test_a_policy_is_a_system_of_its_name(policy):
    bare = policy not in options("system")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        system, alone = (compose("config", overrides=[f"{group}={policy}"]) for group in ("system", "policy"))
    assert system.policy == alone.policy
    assert (system == alone) is bare


def test_a_plug_ins_policy_is_a_system_of_its_name_and_the_plug_ins_own_system_says_more(tmp_path, typed):
    (tmp_path / "policy").mkdir()
    (tmp_path / "system").mkdir()
    for name in ("mine", "other"):
        (tmp_path / "policy" / f"{name}.yaml").write_text((CONF / "policy" / "luf.yaml").read_text())
    (tmp_path / "system" / "other.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /policy: other\n  - override /predictor: oracle\n"
    )
    found = "system=mine,other,muf"
    assert typed(tmp_path, *SMALL, "-m", f"--config-dir={tmp_path}", found, "hydra.launcher.n_jobs=1")[0] == 0
    table = collect(complete_folders(tmp_path))
    assert dict(zip(table["system"], table["predictor"], strict=True)) == {
        "mine": "rules", "other": "oracle", "muf": "rules",
    }  # fmt: skip


def test_a_plug_ins_yaml_that_bears_the_name_of_a_shipped_one_is_refused(tmp_path, typed):
    (tmp_path / "policy" / "order").mkdir(parents=True)
    for name in ("mine", "sjf"):
        (tmp_path / "policy" / "order" / f"{name}.yaml").write_text("_target_: policies.order.luf.LUF\n")
    said = typed(tmp_path, *SMALL, f"--config-dir={tmp_path}", "policy/order=mine")
    hidden = tmp_path / "policy" / "order" / "sjf.yaml"
    assert said == (1, f"{hidden} bears the name of one that ships, which hides it\n")


def test_a_plug_ins_yaml_that_is_none_is_told_by_file_and_line(tmp_path, typed):
    yaml = tmp_path / "policy" / "order" / "mine.yaml"
    yaml.parent.mkdir(parents=True)
    yaml.write_text("_target_: policies.order.luf.LUF\n  weight: 1\n")
    code, said = typed(tmp_path, *SMALL, f"--config-dir={tmp_path}", "policy/order=mine")
    assert code == 1
    assert f"{yaml}, line 2: mapping values are not allowed" in said


def test_an_experiment_by_its_old_name_is_told_the_new_one(tmp_path, typed):
    for old, new in (
        ("rtlm_main", "rtlm/main"), ("rtlm_c_f", "rtlm/c_f"), ("base/rtlm", "rtlm/base"),
        ("validate_rtx_pro_6000", "validation/rtx_pro_6000"),
    ):  # fmt: skip
        code, said = typed(tmp_path, f"experiment={old}")
        assert (code, said) == (1, f"experiment={old} is now called experiment={new}\n")


def test_a_constant_of_some_of_the_runs_of_a_sweep_is_given_to_them_and_refused_where_none_takes_it(tmp_path, typed):
    line = [*SMALL, "-m", "policy=fifo,offload", "hydra.launcher.n_jobs=1"]
    assert typed(tmp_path, *line, "calibration.tau=40")[0] == 0
    table = collect(complete_folders(tmp_path))
    assert table["calibration.tau"].tolist() == [40, 40]
    assert table.set_index("policy")["calibration.kappa"].notna().to_dict() == {"fifo": False, "offload": True}
    code, said = typed(tmp_path, *SMALL, "policy=fifo", "calibration.tau=40")
    assert code == 1
    assert "calibration.tau=40 is read by nothing here: no part of policy=fifo takes ${calibration.tau}" in said
    code, said = typed(tmp_path, *SMALL, "policy=fifo", "policy.routing.kind='${calibration.tau}'")
    assert code == 1
    assert "; a part that takes it has /calibration/tau@_global_.calibration in its defaults" in said


def test_a_setting_that_all_swept_options_have_needs_not_be_of_the_default_one(tmp_path, typed):
    line = [*SMALL, "-m", "policy=rtlm,up", "hydra.launcher.n_jobs=1", "calibration.phi=0.001"]
    assert typed(tmp_path, *line, "policy.order.alpha=-3")[0] == 0
    table = collect(complete_folders(tmp_path))
    assert set(zip(table["policy.order.alpha"], table["calibration.phi"], strict=True)) == {(-3, 0.001)}
