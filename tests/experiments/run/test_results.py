"""A folder of results is whole, as it was written, and of one process at a time, or it is made again."""

import json
import math
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments.identity.of_run import digest
from experiments.run.claim import _machine
from experiments.run.results import Folder
from experiments.run.written import PART, write_columns, write_table, write_whole
from experiments.tables.collect import collect, complete_folders, main
from tests import apart
from tests.experiments.run.test_run import SMALL, typed  # noqa: F401 - a fixture

MADE_OF = {"config": {"seed": 0, "model": "gpt2"}, "choices": {"policy": "fifo"}, "inputs": {}, "tokenyard": "0"}
SUMMARY = {"calibration": {}, "provenance": {}, "response_time_mean": 1.0}


def finished(root: Path, code: dict[str, str] | None = None, **changes: object) -> Folder:
    made_of = {**MADE_OF, **changes}
    folder = Folder(root / digest(made_of))
    folder.begin(made_of)
    folder.complete({"id": np.arange(50)}, {"steps.parquet": {"end": np.arange(9.0)}}, SUMMARY, [], code)
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x41
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 3),
    "a list": lambda path: path.write_text("[1]"),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", ["config.yaml", "requests.parquet", "steps.parquet", "summary.json"])
@pytest.mark.parametrize("damage", [*DAMAGES.values(), spoil], ids=[*DAMAGES, "a bit"])
def test_a_damaged_file_of_a_complete_run_is_found(tmp_path, name, damage):
    folder = finished(tmp_path)
    assert folder.state == "complete"
    damage(folder.path / name)
    assert folder.state == "damaged"
    assert name in folder.damage()


@pytest.mark.parametrize("damage", [*DAMAGES.values()], ids=[*DAMAGES])
def test_a_damaged_status_is_found(tmp_path, damage):
    folder = finished(tmp_path)
    damage(folder.path / "status.json")
    assert folder.state in ("damaged", "absent")
    (folder.path / "status.json").write_text('{"state": 5, "files": 3}')
    assert folder.state == "damaged"


def test_any_change_of_what_a_status_says_is_found(tmp_path):
    folder = finished(tmp_path, code={"sim": "0123456789abcdef"})
    path = folder.path / "status.json"
    text = path.read_text()
    for place in [index for index, letter in enumerate(text) if letter.isalnum()][::2]:
        path.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
        assert folder.state == "damaged", text[place - 20 : place + 20]
        assert folder.damage()
    path.write_text(text)
    assert folder.state == "complete"
    folder.ask()
    Folder(folder.path, {"choices": {}, "overrides": ["seed=0"], "spoken": {1: math.nan}}).ask()
    assert len(folder.status()["asked"]) == 1
    assert folder.state == "complete"


def test_a_status_without_its_checksum_is_whole_only_where_it_knows_no_code(tmp_path):
    for code, state in (({}, "complete"), ({"sim": "0"}, "damaged")):
        folder = finished(tmp_path, code=code)
        status = folder.status()
        del status["sha256"]
        (folder.path / "status.json").write_text(json.dumps(status))
        assert folder.state == state


def test_collect_names_damaged_runs_and_leaves_them_out(tmp_path, capsys, monkeypatch):
    damaged, empty, _ = (finished(tmp_path, inputs={"n": number}, config={"seed": number}) for number in range(3))
    cut(damaged.path / "requests.parquet")
    (empty.path / "status.json").write_text("")
    monkeypatch.setattr(sys, "argv", ["collect", str(tmp_path)])
    monkeypatch.setattr("experiments.tables.collect.render", lambda table, *_: f"{len(table)} rows")
    main()
    said = capsys.readouterr().out
    assert "1 rows" in said
    assert f"left out, damaged: {damaged.path}: requests.parquet is not as it was written" in said
    assert f"left out, damaged: {empty.path}" in said


def test_a_damaged_run_is_made_again_as_it_was(tmp_path, typed):  # noqa: F811
    assert typed(tmp_path, *SMALL)[0] == 0
    (folder,) = complete_folders(tmp_path)
    before = collect([folder])
    kept = {"config.yaml", "requests.parquet", "summary.json", "status.json"}
    for name in sorted(kept):
        cut(folder.path / name)
        (folder.path / ".requests.parquet.1").write_text("of a process that was killed")
        (folder.path / ".lock.1").write_text(json.dumps([_machine(), 2**22, "1", 0]))  # of no process
        code, said = typed(tmp_path, *SMALL)
        assert code == 0, said
        assert "1 made now" in said
        assert collect([folder]).equals(before)
        assert {path.name for path in folder.path.iterdir()} == kept, "nothing temporary is left"


def test_results_of_an_older_version_are_read_and_named(tmp_path, capsys):
    old, damaged = finished(tmp_path), finished(tmp_path, inputs={"n": 2})
    for folder in (old, damaged):
        write_whole(folder.path / "status.json", json.dumps({"state": "complete", "at": "2026", "overrides": []}))
    cut(damaged.path / "requests.parquet")
    assert [folder.state for folder in (old, damaged)] == ["complete", "damaged"]
    assert collect(complete_folders(tmp_path))["run"].tolist() == [old.path.name]
    assert "1 runs were made by code that is not known" in capsys.readouterr().err


def test_a_summary_is_json_and_what_was_not_measured_comes_back_as_nan(tmp_path):
    folder = Folder(tmp_path / "x")
    folder.begin(MADE_OF)
    folder.complete({"id": np.arange(2)}, {}, {"a": math.nan, "b": {"c": math.inf, "d": np.float64("nan")}}, [])
    text = (folder.path / "summary.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": {"c": None, "d": None}}
    assert math.isnan(folder.summary()["a"])
    assert math.isnan(folder.summary()["b"]["d"])


def test_a_file_that_cannot_be_written_is_named_and_no_temporary_is_left(tmp_path):
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(OSError, match=r"summary.json cannot be written: Is a directory"):
        write_whole(tmp_path / "summary.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def hold(folder: Path, seconds: float, told: Connection) -> None:
    with Folder(folder).held():
        told.send("held")
        time.sleep(seconds)
        (folder / "first").touch()


def holding(folder: Path, seconds: float):
    """A process that holds the folder of a run."""
    told, tell = apart.CONTEXT.Pipe(duplex=False)
    process = apart.CONTEXT.Process(target=hold, args=(folder, seconds, tell))
    process.start()
    assert told.poll(60)
    return process


def test_a_run_is_of_one_process_at_a_time_and_a_killed_one_holds_nothing(tmp_path):
    folder = Folder(tmp_path / "run")
    other = holding(folder.path, 0.3)
    with folder.held():
        assert (folder.path / "first").exists(), "the other process was through before"
    other.join()
    other = holding(folder.path, 60)
    other.kill()
    other.join()
    with folder.held():
        assert os.path.exists(folder.path / ".lock.2"), "the claim of the killed one counts no more"
    assert not list(folder.path.glob(".lock*"))


@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["a run", "a sweep"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["name=../../x"], ["name=../../x must name a folder within results="]),
        ([f"name={'x' * 300}"], ["name=xxx", "at most 255 bytes long, not 300"]),
        (["name=a_file/x"], ["name=a_file/x", "a_file is a file, not a folder"]),
        (["results=/proc/x"], ["results=/proc/x", "cannot be written: No such file or directory"]),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, typed, sweep, arguments, words):  # noqa: F811
    (tmp_path / "a_file").touch()
    code, said = typed(tmp_path, *sweep, *SMALL, *arguments)
    assert code == 1
    for word in words:
        assert word in said
    assert "Traceback" not in said


def test_a_name_that_is_a_number_works(tmp_path, typed):  # noqa: F811
    code, said = typed(tmp_path, *SMALL, "name=20261128")
    assert code == 0, said
    assert len(complete_folders(tmp_path / "20261128")) == 1


def test_a_long_table_is_written_part_by_part_as_if_it_were_at_once(tmp_path):
    rows = np.arange(PART + 3)
    table = {
        "id": rows,
        "seconds": np.where(rows % 5, rows / 7, np.nan),
        "status": np.where(rows % 2, "in", "finished"),
    }
    write_columns(tmp_path / "parts.parquet", table)
    write_table(tmp_path / "whole.parquet", pd.DataFrame(table))
    parts, whole = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("parts", "whole"))
    pd.testing.assert_frame_equal(parts, whole)
    assert pq.read_schema(tmp_path / "parts.parquet").equals(pq.read_schema(tmp_path / "whole.parquet"))
