"""A result belongs to what made it: its code, its inputs by content, and its settings by what they mean."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from experiments.identity import beside, facts
from experiments.identity.digests import digest_of, digest_of_file
from experiments.identity.of_code import PROJECT, _imports, _within, code_of, source
from experiments.identity.of_run import MAKERS, digest, files_of, identity, made_by, resolved
from experiments.run import inputs as inputs_of
from experiments.run.inputs import Inputs
from experiments.run.results import Folder
from experiments.tables.collect import collect, complete_folders
from experiments.tables.mixture import _device, current, one_each, unsaid
from profiles.profile import load
from sim import Cluster
from tests.apart import done
from tests.conftest import ROOT, make_device
from tests.experiments.run.test_run import CONF, SMALL, small, typed  # noqa: F401 - a fixture
from traces.formats.parquet import write


def config(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def name_of(*overrides: str) -> str:
    return digest(identity(config(*overrides), {}, {}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["trace.rate=1"], ["trace.rate=1.0"]),
        (["trace.rate=1e0"], ["trace.rate=1"]),
        (["policy=sjf", "predictor=oracle"], ["system=sjf_oracle"]),
        ([], ["trace.requests=1000", "warmup=0.1"]),
        (["seed=3", "warmup=0"], ["warmup=0.0", "seed=3.0"]),
        ([], ["name=x", "results=y"]),
        (["cluster=llama_8b"], ["cluster=llama_8b", "model=gpt2"]),
        (["model=gpt2"], ["cluster.devices.gpu.profile.model=gpt2", "cluster.devices.cpu.profile.model=gpt2"]),
        ([], ["horizon=null"]),
        (
            ["experiment=demo"],
            ["model=gpt2", "cluster.devices.cpu.profile.folder=results/profiles", "trace.requests=400"],
        ),
    ],
)
def test_settings_that_mean_the_same_are_one_run(one, other):
    assert name_of(*one) == name_of(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["trace.rate=1"], ["trace.rate=1.5"]),
        (["leap=true"], ["leap=false"]),
        (["policy=rtlm"], ["policy=rtlm", "policy.routing.threshold=null"]),
        (["policy=rtlm"], ["policy=rtlm", "calibration.tau=3"]),
        (["model=gpt2"], ["model=opt-125m"]),
        (["seed=1"], ["seed=2"]),
        (["record=steps"], ["record=requests"]),
        (["audit=true"], ["audit=false"]),
    ],
)
def test_settings_that_differ_are_two_runs(one, other):
    assert name_of(*one) != name_of(*other)


def test_the_order_of_devices_counts_and_that_of_other_keys_does_not():
    made_of = identity(config(), {}, {})
    turned = {**made_of, "config": dict(reversed(made_of["config"].items()))}
    assert digest(turned) == digest(made_of)
    cluster = made_of["config"]["cluster"]
    devices = {**cluster, "devices": dict(reversed(cluster["devices"].items()))}
    assert digest({**made_of, "config": {**made_of["config"], "cluster": devices}}) != digest(made_of)


def test_what_counts_only_where_it_is_referred_to_is_read_by_no_code():
    for name in code_of(MAKERS, ()):
        reads = re.search(r"cfg(\.model\b|\[.model.\]|\.get\(.model.)", source(name).read_text())
        assert reads is None, f"{name} reads what identity leaves out"


def test_whose_capacity_a_load_is_of_counts_only_with_a_load():
    said = {"code": "", "inputs": {}}
    configs = [{"load": load, "load_of": of} for load in (None, 0.9) for of in ("a", "b")]
    assert len({digest({**said, "config": settings}) for settings in configs}) == 3


def test_what_is_not_found_yet_stays_a_reference():
    found = resolved(config("policy=rtlm", "calibration.phi=0.5"))
    assert found["policy"]["routing"]["threshold"] == "${calibration.tau}"
    assert found["policy"]["order"]["service"]["phi"] == 0.5
    assert found["calibration"]["tau"] is None


def test_an_input_has_a_name_of_its_own_whatever_devices_and_files_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpu").write_text("no input: a word of the configuration")
    (tmp_path / "w.npz").write_text("weights")
    assert files_of({"cluster": {"kind": "gpu"}, "predictor": {"weights": "w.npz", "x": "~nobody/w", "y": "\0/"}}) == {
        "file.w.npz": digest_of_file(Path("w.npz"))
    }
    device = make_device("replay")
    inputs = Inputs(pd.DataFrame({"arrival": [0.0]}), None, Cluster((device,)), {}, {})
    assert set(inputs.digests()) == {"replay", "profile.replay"}


@pytest.mark.parametrize(("device", "entry"), [("h100", "h100"), ("h1000", "h100"), ("gpu1", "gpu"), ("gpu", "gpu")])
def test_a_device_is_told_to_its_entry_whatever_digits_that_ends_in(device, entry):
    entries = {name: {"profile": name} for name in ("gpu", "h100", "h")}
    assert _device(device, entries)["profile"] == entry


def test_code_is_what_the_used_configuration_names_and_what_that_imports():
    policies = [config(f"policy={name}", "trace=poisson", "predictor=oracle") for name in ("fifo", "rtlm")]
    fifo, rtlm = (set(made_by(resolved(cfg))) for cfg in policies)
    run = {f"experiments.run.{name}" for name in ("inputs", "parts", "measure")}
    assert {"sim.engine.replica", *run, "traces.synthetic.arrivals"} <= fifo & rtlm
    assert "experiments.papers.rtlm.calibration" in rtlm - fifo
    assert {"policies.order.up", "policies.routing.offload"} <= rtlm - fifo
    assert not {name for name in fifo | rtlm if name.startswith("experiments.figures")}
    showing = {"experiments.tables.compare", "experiments.tables.collect", "experiments.tables.stats"}
    assert not {*showing, "experiments.run.run"} & (fifo | rtlm)
    assert "policies.order.aging" not in rtlm


def test_loaders_and_data_driven_imports_are_followed():
    assert "traces.formats.mooncake" in made_by(resolved(config("trace=mooncake")))
    assert "policies.predictor.gbm" in made_by(resolved(config("predictor=trained")))
    assert "policies.predictor.gbm" not in made_by(resolved(config("predictor=oracle")))
    assert {"traces.formats.azure", "traces.formats.vtc"} <= set(code_of((), ["traces.sniff.told"]))


def test_imports_whose_name_only_data_tells_are_known_here():
    found = {name for top in PROJECT for name in _within(top) if _imports(name)[1]}
    checks = {name for name in found if name.startswith("experiments.settings.")}  # which make no result
    # as are the verbs, which import what they are called by, records of claims, and figures
    aside = {"experiments.cli", "experiments.claims.record", "experiments.papers.group"}
    found -= checks | aside
    assert found == {"policies.predictor.weights"}, "another one: does code_of follow what it may import?"
    assert not {"policies.predictor.gbm", *checks} & set(code_of(MAKERS, ()))


PLUGIN = '''
"""A plug-in."""
import json
from .beside import factor
def rank(job, now):
    """Why."""
    from plug.late import shift  # late
    return factor * now + shift
'''


@pytest.fixture
def plug(tmp_path, monkeypatch) -> Path:
    """A package outside the project, importable."""
    folder = tmp_path / "plug"
    folder.mkdir()
    for name, text in {
        "__init__": "", "part": PLUGIN, "beside": "factor = 1", "late": "shift = 2", "unused": "x = 1",
    }.items():  # fmt: skip
        (folder / f"{name}.py").write_text(text)
    return folder


CODES = """
import json, sys
from experiments.identity.of_code import code_of, files_beside
try:
    code = code_of((), sys.argv[1:])
    print(json.dumps(code | files_beside(code, sys.argv[1:])))
except ValueError as error:
    print(json.dumps(str(error)))
"""


def codes(place: Path, target: str = "plug.part.rank") -> dict[str, str]:
    """The digests in a process of its own, for one keeps what it saw first; or the error."""
    env = {**os.environ, "PYTHONPATH": f"{place}:{ROOT}"}
    line = [sys.executable, "-c", CODES, target]
    return json.loads(subprocess.run(line, capture_output=True, text=True, env=env, cwd=place, check=True).stdout)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_a_plug_in_is_all_modules_and_files_of_its_package(plug):
    (plug / "data").mkdir()
    (plug / "data" / "table.json").write_text("1")
    run = plug / "results" / "adhoc" / "0"
    run.mkdir(parents=True)
    for name in (plug / ".hidden", run / "status.json", plug.parent / "aside.json"):
        name.write_text("1")
    before = codes(plug.parent)
    modules = {"plug", "plug.part", "plug.beside", "plug.late", "plug.unused"}
    assert set(before) == {*modules, "data/table.json in plug"}
    (plug / "part.py").write_text(
        PLUGIN.replace("# late", "# later").replace('"""Why."""', "").replace("= factor", "=  factor")
    )
    assert codes(plug.parent) == before, "comments, docstrings and layout are no code"
    (plug / "late.py").write_text("shift = -2")
    assert changed(before, after := codes(plug.parent)) == {"plug.late"}
    (plug / "data" / "table.json").write_text("2")
    assert changed(after, codes(plug.parent)) == {"data/table.json in plug"}


ORDER = """
import json
from importlib import import_module
from pathlib import Path
from hydra.utils import get_method
from sim import Order
class Mine(Order):
    def __init__(self, sign=None):
        self.table = json.loads(Path(__file__).with_name("minetable.json").read_text())
        self.helper = get_method("minepack.sign.turned")
        self.tool = import_module(sign) if sign else None
        self.more = Path(__file__).parent / "tables"
    def rank(self, job, now):
        return self.table["sign"] * job.prediction.length
"""


@pytest.fixture
def order(tmp_path) -> Path:
    """The folder of a module that reads a file, and calls helpers by name."""
    folder = tmp_path / "flat"
    for name, text in {
        "mineorder.py": ORDER, "minetable.json": '{"sign": 1}', "minehelp.py": "from minedeep.far import x",
        "broken.py": "print 1", "minepack/sign.py": "def turned(): ...", "minedeep/far.py": "x = 1",
        "tables/one.csv": "1", "other/two.csv": "1", ".hidden": "1", "__pycache__/x.pyc": "1",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_files_beside_a_plug_in_count_and_what_it_names_of_the_folders_there(order):
    before = codes(order, "mineorder.Mine")
    files = {f"{name} beside mineorder" for name in ("minetable.json", "broken.py", "tables/one.csv")}
    helpers = {"minehelp", "minepack", "minepack.sign", "minedeep", "minedeep.far"}
    assert {name for name in before if name.split(".")[0] != "sim"} == {"mineorder", *helpers, *files}
    for name, text, named in (
        ("minetable.json", '{"sign": -1}', "minetable.json beside mineorder"),
        ("tables/one.csv", "2", "tables/one.csv beside mineorder"),
        ("broken.py", "print 2", "broken.py beside mineorder"),
        ("minedeep/far.py", "x = 2", "minedeep.far"),
    ):
        (order / name).write_text(text)
        after = codes(order, "mineorder.Mine")
        assert changed(before, after) == {named}
        before = after
    (order / "other" / "two.csv").write_text("2")
    (order / "tokenyard-x.1.jsonl").touch()  # the log of a sweep, as where TMPDIR is the folder
    assert codes(order, "mineorder.Mine") == before


def test_too_much_beside_a_plug_in_is_refused_in_a_line(order, monkeypatch):
    (order / "huge.bin").touch()
    os.truncate(order / "huge.bin", 2**28 + 1)  # sparse
    assert codes(order, "mineorder.Mine").startswith(f"{order}/huge.bin has over 256 MB, and all there counts as ")
    monkeypatch.setattr(beside, "MOST_FILES", 3)
    (order / "huge.bin").unlink()
    with pytest.raises(ValueError, match=r"flat holds over 3 files, .*: put the plug-in in a folder of its own"):
        list(beside.files(order / "mineorder.py", ()))


def test_a_plug_ins_file_that_changes_while_a_process_may_keep_it_is_told(tmp_path):
    file = tmp_path / "table.json"
    file.write_text("1")
    beside.check_unchanged([file])
    beside.check_unchanged([file])
    file.write_text("12")
    with pytest.raises(ValueError, match=r"table.json was changed after this process may have read it"):
        beside.check_unchanged([file])


def test_runs_of_two_contents_of_a_plug_ins_file_are_not_mixed(tmp_path, order, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(order))
    now = codes(order, "mineorder.Mine")
    kept = stored(tmp_path / "r", now, "2026-01-01")
    stored(tmp_path / "r", {**now, "minetable.json beside mineorder": "edited"}, "2026-02-01", seed=1)
    assert [folder.path for folder, _ in current(complete_folders(tmp_path / "r"))] == [kept.path]
    said = capsys.readouterr().err
    assert "left out, made of another file minetable.json beside mineorder: " in said
    assert "changed since" not in said
    (order / "minetable.json").unlink()
    current([kept])
    assert "1 runs were made by code that was changed since: minetable.json beside mineorder" in capsys.readouterr().err


def test_one_file_spelled_in_two_ways_is_one_run(tmp_path):
    path = tmp_path / "x.parquet"
    one, other = (["trace=parquet", f"trace.path={spelled}"] for spelled in (path, f"{tmp_path}//./x.parquet"))
    assert name_of(*one) != name_of(*other), "neither names a file"
    path.touch()
    assert name_of(*one) == name_of(*other)
    (tmp_path / "link").symlink_to("/usr/lib")
    assert name_of("trace=parquet", f"trace.path={tmp_path}/link/../x.parquet") != name_of(*one), "another file"


def test_every_value_of_an_input_is_seen():
    ids = [np.arange(2000), np.arange(3000)]
    edited = [ids[0].copy(), ids[1]]
    edited[0][1000] = -1
    for as_list in (
        lambda rows: rows,
        lambda rows: [row.tolist() for row in rows],
        lambda rows: [tuple(row) for row in rows],
    ):
        tables = [pd.DataFrame({"arrival": [0.0, 1.0], "prompt_ids": as_list(rows)}) for rows in (ids, edited, ids)]
        one, other, again = map(digest_of, tables)
        assert one != other
        assert one == again
    assert digest_of([0.1 + 0.2]) != digest_of([0.3])
    assert digest_of(["a", "b"]) != digest_of(["ab", ""])
    assert digest_of({"a": None}) != digest_of({"a": "None"})
    assert digest_of([2**70] * 20) != digest_of([2**71] * 20)
    profile = load("gpt2", "l40s")
    object.__setattr__(edited_profile := load("gpt2", "l40s"), "fixed_seconds", np.nextafter(profile.fixed_seconds, 1))
    assert digest_of(profile) == digest_of(load("gpt2", "l40s")) != digest_of(edited_profile)
    with pytest.raises(TypeError, match="does not say what it holds"):
        digest_of(len)


def test_files_that_a_part_names_count_by_content(tmp_path):
    weights = tmp_path / "weights.bin"
    cfg = config("policy=fifo", f"+policy.order.weights={weights}", f"+policy.order.folder={tmp_path}")
    weights.write_text("1")
    one = digest(identity(cfg, {}, {}))
    weights.write_text("12")
    assert digest(identity(cfg, {}, {})) != one


def test_the_same_run_asked_for_by_another_name_is_labelled_by_it(tmp_path, typed):  # noqa: F811
    few = [*SMALL, "hydra.launcher.n_jobs=1"]
    assert typed(tmp_path, "-m", *few, "policy=fifo,sjf", "predictor=oracle")[0] == 0
    code, said = typed(tmp_path, *few, "system=sjf_oracle", "trace.rate=30.0")
    assert code == 0
    assert "1 runs: 0 made now, 1 complete already" in said
    (folder,) = [folder for folder in complete_folders(tmp_path) if "system" in str(folder.status()["asked"][-1])
                 and folder.status()["asked"][-1]["choices"]["system"] == "sjf_oracle"]  # fmt: skip
    of_sweep = collect([Folder(folder.path, folder.status()["asked"][-1])])
    assert of_sweep[["system", "policy", "predictor"]].values.tolist() == [["sjf_oracle", "sjf", "oracle"]]
    table = collect(complete_folders(tmp_path))
    assert len(table) == 3, "fifo, and the other run by each of its names"
    assert table["run"].nunique() == 2


def stored(root: Path, code: dict[str, str], at: str, **settings: object) -> Folder:
    """A complete run by `code`."""
    made_of = {
        "choices": {"policy": "aging"}, "code": str(sorted(code.items())), "inputs": settings.pop("inputs", {}),
        "config": {"seed": 0, "warmup": 0.1, **settings},
    }  # fmt: skip
    folder = Folder(root / digest(made_of))
    folder.begin(made_of)
    folder.complete({"id": np.arange(3)}, {}, {"calibration": {}, "provenance": {}, "x": 1.0}, [], code)
    folder.write_status(folder.status() | {"at": at})
    return folder


def test_runs_by_two_versions_of_a_module_are_not_mixed(tmp_path, capsys):
    old = [stored(tmp_path, {"gone": "1", "sim": "2"}, f"2026-01-0{seed + 1}", seed=seed) for seed in range(3)]
    new = stored(tmp_path, {"gone": "3", "sim": "2"}, "2026-02-01", seed=0)
    other = stored(tmp_path, {"sim": "2"}, "2025-01-01", seed=9)
    table = collect(complete_folders(tmp_path))
    assert set(table["run"]) == {new.path.name, other.path.name}
    said = capsys.readouterr().err
    assert "left out, made of another module gone: " in said
    assert all(folder.path.name in said for folder in old)
    assert "2 runs were made by code that was changed since: gone, sim" in said


def test_the_version_that_stands_now_counts_though_it_is_the_older_run(tmp_path):
    now = code_of((), ["policies.order.aging.Aging"])
    kept = stored(tmp_path, now, "2026-01-01")
    stored(tmp_path, {**now, "policies.order.aging": "edited, and taken back"}, "2026-02-01", seed=1)
    assert [folder.path for folder, _ in current(complete_folders(tmp_path))] == [kept.path]


def test_runs_of_two_contents_of_an_input_are_not_mixed(tmp_path, capsys):
    stored(tmp_path, {"sim": "1"}, "2026-01-01", inputs={"training": "old"})
    new = stored(tmp_path, {"sim": "1"}, "2026-02-01", inputs={"training": "new"}, seed=1)
    assert [folder.path for folder, _ in current(complete_folders(tmp_path))] == [new.path]
    assert "left out, made of another input training: " in capsys.readouterr().err


def test_a_setting_that_a_yaml_changed_tells_runs_apart(tmp_path):
    for seed in range(3):
        stored(tmp_path, {"sim": "1"}, "2026-01-01", seed=seed, part={"seed": seed, "weight": 5})
    stored(tmp_path, {"sim": "1"}, "2026-02-01", seed=3, part={"seed": 3, "weight": 6})
    table = collect(complete_folders(tmp_path))
    assert table.columns[: table.columns.get_loc("run")].tolist() == ["policy", "model", "part.weight", "seed"]


def test_one_row_is_kept_of_one_run_by_two_equal_labels():
    rows = pd.DataFrame({"policy": ["fifo"] * 2, "system": [None, "fifo"], "seed": 0, "run": "a", "_at": ""})
    assert one_each(rows, ["policy", "system", "seed"])["system"].tolist() == ["fifo"]
    assert unsaid([], []) == []


def test_an_edited_policy_is_another_and_that_edit_alone(tmp_path):
    """On a copy of the project's policies, as a user would edit them."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    before = codes(tmp_path, "policies.order.aging.Aging")
    aging = tmp_path / "policies" / "order" / "aging.py"
    text = aging.read_text()
    aging.write_text(text.replace("job.prediction.length + self.weight", "job.prediction.length - self.weight"))
    assert aging.read_text() != text
    assert changed(before, codes(tmp_path, "policies.order.aging.Aging")) == {"policies.order.aging"}


def test_an_edited_plug_in_runs_anew_and_its_old_result_is_left_out(tmp_path, order):
    order_of_it = "policy.order._target_=mineorder.Mine"
    line = small("policy=fifo", "predictor=oracle", order_of_it, "trace.rate=1000", "warmup=0", f"results={tmp_path}/r")
    table = order / "minetable.json"
    for edit, made in ((None, "1 made now"), (None, "1 complete already"), ('{"sign": -1}', "1 made now")):
        if edit:
            table.write_text(edit)
        code, said = done(tmp_path / "said", tmp_path, line, PYTHONPATH=str(order))
        assert code == 0, said
        assert made in said
    one, other = complete_folders(tmp_path / "r")
    assert changed(one.status()["code"], other.status()["code"]) == {"minetable.json beside mineorder"}
    assert [len(collect([folder])) for folder in (one, other)] == [1, 1]
    means = {folder.summary()["response_time_mean"] for folder in (one, other)}
    assert len(means) == 2
    assert len(collect([one, other])) == 1


def test_a_trace_file_rewritten_in_the_middle_of_its_ids_runs_anew(tmp_path, typed):  # noqa: F811
    ids = [list(range(2000)), list(range(2000)), list(range(2000))]
    said = []
    for middle in (1000, 7777, 1000):
        ids[2][1000] = middle
        table = pd.DataFrame({"arrival": [0.0, 1.0, 2.0], "prompt_tokens": 2000, "output_tokens": 5, "prompt_ids": ids})
        table["id_tokens"] = 1
        for kept in (inputs_of._draw, inputs_of._training):  # a command reads anew
            kept.cache_clear()
        write(table, tmp_path / "trace.parquet", {})
        arguments = [
            "cluster=llama_8b", "trace=parquet", f"trace.path={tmp_path}/trace.parquet", "trace.training_share=0.34",
            "predictor=oracle", "policy/batching=continuous", "warmup=0",
        ]  # fmt: skip
        code, errors = typed(tmp_path, *arguments)
        said.append((code, "1 made now" in errors, errors))
    assert [made for code, made, _ in said] == [True, True, False], said


@pytest.mark.parametrize("written", ['{"%s": 5}', '{"%s": ["a", 1, [], [], [], []]}', '{"%s": [[], [], []]}', "[1]"])
def test_facts_that_were_damaged_are_found_anew(written, tmp_path, monkeypatch):
    (module := tmp_path / "m.py").write_text("import json\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        facts._kept.cache_clear()
        found = facts.of(module, "p")
        (key,) = facts._new
        facts._new.clear()
        place = tmp_path / "tokenyard" / "code.json"
        place.parent.mkdir()
        place.write_text(written.replace("%s", key))
        facts._kept.cache_clear()
        assert facts.of(module, "p") == found
        assert found.names == ("json",)
    finally:
        facts._new.clear()
        facts._kept.cache_clear()
