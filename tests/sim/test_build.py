"""Which engine is imported: `sim.build`, and what `setup.py` leaves beside it."""

import json
import os
import runpy
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from sim.build import BUILD, GROUP, STAMP, VARIABLE, _Sources, digests, why_pure
from tests.conftest import ROOT


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """A package that looks as if it had been compiled."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "engine").mkdir()
    for name in ("build.py", "job.py", "engine/queue.py"):
        (tmp_path / name).write_text(f"NAME = {name!r}\n")
    for name in ("job", "engine/queue"):
        (tmp_path / f"{name}{EXTENSION_SUFFIXES[0]}").write_bytes(b"machine code")
    (tmp_path.parent / f"{GROUP}{EXTENSION_SUFFIXES[0]}").write_bytes(b"machine code")
    (tmp_path / STAMP).write_text(json.dumps({"sources": digests(tmp_path)}))
    yield tmp_path
    (tmp_path.parent / f"{GROUP}{EXTENSION_SUFFIXES[0]}").unlink()


def test_what_was_compiled_runs_as_long_as_every_source_is_what_it_was(compiled):
    assert why_pure(compiled) == ""
    (compiled / "engine" / "queue.py").write_text("NAME = 'edited'\n")
    assert why_pure(compiled) == f"{compiled / 'engine' / 'queue.py'} was changed since it was compiled"


@pytest.mark.parametrize("change", ["gone", "new"])
def test_a_source_that_is_new_or_gone_is_a_change_too(compiled, change):
    file = compiled / "engine" / "queue.py" if change == "gone" else compiled / "other.py"
    file.unlink() if change == "gone" else file.write_text("")
    assert why_pure(compiled) == f"{file} was changed since it was compiled"


def test_why_an_engine_is_pure_is_said(compiled, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    assert why_pure(compiled) == "TOKENYARD_PURE=1"
    monkeypatch.setenv(VARIABLE, "0")
    assert why_pure(compiled) == ""
    (compiled / f"job{EXTENSION_SUFFIXES[0]}").unlink()
    assert why_pure(compiled).startswith("it was compiled for another Python than 3.")
    (compiled / STAMP).write_text('{"sources": {}, "why": "no C compiler was found"}')
    assert why_pure(compiled) == "no C compiler was found"
    for damaged in ("{", "[]", '{"sources": 3}', '{"sources": ["a"]}', '{"sources": {}}'):
        (compiled / STAMP).write_text(damaged)
        assert why_pure(compiled) == f"{compiled / STAMP} is damaged: install again"
    (compiled / STAMP).unlink()
    assert why_pure(compiled).startswith("a checkout, where an edited file runs as it is (")


def test_the_sources_are_found_beside_machine_code(compiled):
    for name, file in (("sim.job", compiled / "job.py"), ("sim.engine.queue", compiled / "engine" / "queue.py")):
        spec = _Sources.find_spec(name, [str(file.parent)])
        assert spec is not None
        assert spec.origin == str(file)
    assert _Sources.find_spec("simpy.core", [str(compiled)]) is None
    (compiled / "job.py").unlink()
    with pytest.raises(ModuleNotFoundError, match=r"sim\.job"):
        _Sources.find_spec("sim.job", [str(compiled)])


def test_this_process_has_the_engine_that_it_says():
    import sim.engine.queue as module

    assert module.__file__.endswith(".py") is (BUILD == "pure")


@pytest.mark.parametrize(
    ("given", "editable", "wanted"),
    [(None, False, True), (None, True, False), ("0", True, True), ("0", False, True), ("1", False, False)],
)
def test_an_editable_install_is_compiled_if_asked_and_another_unless_asked(monkeypatch, given, editable, wanted):
    monkeypatch.delenv(VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)
    assert runpy.run_path(str(ROOT / "setup.py"))["wants"](editable) is wanted


@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "why"), [({"CC": "false"}, "no C compiler was found"), ({VARIABLE: "1"}, "it was built with")]
)
def test_without_a_compiler_the_package_is_pure_and_says_so_in_one_line(tmp_path, more, why):
    command = [sys.executable, "setup.py", "-q", "build", f"--build-base={tmp_path}", f"--build-lib={tmp_path / 'lib'}"]
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(command, cwd=ROOT, env=environment | more, capture_output=True, text=True, check=True)
    said = [line for line in done.stderr.splitlines() if line.startswith("tokenyard: ")]
    assert len(said) == 1
    assert said[0].startswith(f"tokenyard: the engine is pure Python: {why}")
    stamp = json.loads((tmp_path / "lib" / "sim" / STAMP).read_text())
    assert stamp["sources"] == {}
    assert stamp["why"].startswith(why)
    assert not [*(tmp_path / "lib").rglob(f"*{EXTENSION_SUFFIXES[0]}")]
