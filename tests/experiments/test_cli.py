"""The one command: every verb is there and teaches, what is no verb is refused, and it works wherever it is called."""

import importlib
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import cli
from experiments.cli import VERBS, Group
from tests.conftest import ROOT
from tests.experiments.run.test_run import small

SCRIPT = "import sys\nfrom experiments.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def verbs(group: Group, *above: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each verb that is a module, by the words that name it."""
    for name, verb in group.verbs.items():
        if isinstance(verb, Group):
            yield from verbs(verb, *above, name)
        else:
            yield (*above, name), verb


def groups(group: Group, *above: str) -> Iterator[tuple[tuple[str, ...], Group]]:
    yield above, group
    for name, verb in group.verbs.items():
        if isinstance(verb, Group):
            yield from groups(verb, *above, name)


WORDS = dict(verbs(VERBS))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What a command line exits with, and prints."""

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["tokenyard", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_alone_it_lists_every_verb_with_its_modules_first_line_and_three_lines_to_begin_with(typed):
    code, out, _ = typed()
    assert code == 0
    for name, verb in VERBS.verbs.items():
        told = verb.sentence if isinstance(verb, Group) else importlib.import_module(verb).__doc__.splitlines()[0]
        assert f"  {name:<10}{told}\n" in out
    begin = out.partition("Begin with:\n")[2].splitlines()[:3]
    assert all(line.startswith("  tokenyard ") for line in begin)
    assert typed("--help") == (0, out, "")


def test_a_group_alone_lists_its_verbs(typed):
    for words, group in groups(VERBS):
        code, out, _ = typed(*words)
        assert code == 0
        assert all(f"\n  {name} " in out for name in group.verbs)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_help_teaches_with_an_example(typed, words):
    code, out, _ = typed(*words, "--help")
    assert not code
    example = "tokenyard policy=" if words == ("run",) else f"tokenyard {' '.join(words)}"
    assert example in out


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_its_first_line_is_a_sentence(words):
    told = cli.sentence(WORDS[words])
    assert told[0].isupper()
    assert told[-1] in ".?"
    assert "tokenyard" not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["colect", "results"], "tokenyard: no verb 'colect'; did you mean collect?\n"),
        (["trace", "descibe", "x"], "tokenyard trace: no verb 'descibe'; did you mean describe?\n"),
        (["profile", "import", "xyz"], "no verb 'xyz'; there are vidur, splitwise, aiconfigurator, kernels\n"),
        (["results/demo"], "tokenyard: no verb 'results/demo'; there are run, collect"),
    ],
)
def test_what_is_no_verb_is_refused_with_one_that_is(typed, arguments, said):
    code, out, errors = typed(*arguments)
    assert (code, out) == (2, "")
    assert said in errors


HYDRA = ["train", "validate engine", "trace record", "profile measure", "profile campaign", "profile analytic",
         "profile import vidur", "profile import splitwise", "profile import aiconfigurator",
         "profile import kernels"]  # fmt: skip


@pytest.mark.parametrize("words", HYDRA)
def test_a_setting_that_is_none_is_refused_in_one_line(typed, words):
    code, out, _ = typed(*words.split(), "wrng=1")
    assert out == ""
    assert code == f"tokenyard {words}: Could not override 'wrng'; tokenyard {words} --help tells what can be given"


@pytest.mark.parametrize("verb", ["run", "rate", ""])
def test_a_run_and_a_rate_say_which_setting_was_meant(typed, verb):
    code, out, errors = typed(*verb.split(), "polcy=fifo")
    assert (bool(code), out) == (True, "")
    assert "polcy=fifo: no such setting; did you mean policy?" in f"{code}{errors}"


def test_two_flags_that_each_ask_for_something_else_are_refused(typed):
    code, out, errors = typed("-m", "policy=fifo,sjf", "--cfg", "job")
    assert (code, out) == (1, "")
    assert errors == "one of --run, --multirun, --cfg, --info and --shell-completion can be given, not two\n"


def test_settings_and_flags_without_a_verb_mean_run(typed):
    shown = typed("run", "--cfg", "job", "policy=sjf", "predictor=oracle")
    assert shown[0] in (0, None)
    assert "policies.order.sjf.SJF" in shown[1]
    assert typed("policy=sjf", "predictor=oracle", "--cfg", "job") == shown
    assert typed("--cfg", "job", "policy=sjf", "predictor=oracle") == shown


def test_the_list_needs_no_library():
    code = (
        "import sys; from experiments import cli; cli.call(cli.VERBS, 'tokenyard', []); "
        "print([name for name in ('hydra', 'pandas', 'numpy', 'simpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The command as pip installs it: a file in a folder of its own."""
    path = tmp_path / "bin" / "tokenyard"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("arguments", [[], ["profile", "list"], ["--cfg", "job"]], ids=" ".join)
def test_a_reader_that_reads_no_more_is_no_error(script, arguments):
    line = [sys.executable, str(script), *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, env=environment(), text=True, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=100) == 141  # as of a program that SIGPIPE ends


def test_a_sweep_runs_beside_folders_and_files_with_the_packages_names(script, tmp_path):
    here = tmp_path / "here"
    for name in ("experiments", "sim", "traces"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text(f"raise SystemExit('{name} of the current folder')\n")
    (here / "policies.py").write_text("raise SystemExit('policies of the current folder')\n")
    sweep = ["-m", *small("predictor=oracle", "trace.requests=20"), "policy=fifo,sjf", "hydra.launcher.n_jobs=2"]
    line = [sys.executable, str(script), *sweep]
    done = subprocess.run(line, cwd=here, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 runs: 2 made now, 0 complete already, 0 failed" in done.stderr
    assert len(list((here / "results" / "adhoc").glob("*/summary.json"))) == 2


HERE = [
    (words, module)
    for words, module in WORDS.items()
    if module.rpartition(".")[0] in ("traces", "profiles", "experiments.figures")
]
MAKERS = {"experiments.tables.schema", "traces.text.make_senses", "traces.text.score_chitchat"}  # of files that ship


def test_nothing_speaks_of_a_module_where_there_is_a_verb():
    folders = ("experiments", "profiles", "traces", "policies", "sim", "notebooks")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    files = [path for path in found if path.suffix in (".py", ".yaml", ".ipynb")]
    spoken = {name for path in files for name in re.findall(r"python -m ([a-z_]+\.[\w.]+\w)", path.read_text())}
    assert spoken == MAKERS
    blocks = {path for path in files if 'if __name__ == "__main__":' in path.read_text()}
    telling = {module for _, module in HERE}  # which verb they are now
    assert blocks == {ROOT / f"{name.replace('.', '/')}.py" for name in (*MAKERS, *telling, "experiments.cli")}


@pytest.mark.parametrize(("given", "status", "said"), [("", 2, "no verb ''"), ("--version", 0, "tokenyard 0.")])
def test_no_verb_at_all_and_the_version(given, status, said):
    line = [sys.executable, "-m", "experiments.cli", given]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


STILL = {"profiles.measure", "profiles.campaign"}  # these two go on as they were


@pytest.mark.parametrize(("words", "module"), HERE, ids=lambda one: one if isinstance(one, str) else "")
def test_a_module_that_was_a_command_goes_on_or_names_the_verb_that_it_is_now(words, module):
    path = ROOT / f"{module.replace('.', '/')}.py"
    if module in STILL:
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"tokenyard {' '.join(words)}" in done.stdout
        return
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == f"this is now: tokenyard {' '.join(words)}"


def test_an_unknown_device_is_refused_with_those_that_there_are(typed):
    code, _, _ = typed("profile", "analytic", "device=b2000")
    devices = sorted(path.stem for path in (ROOT / "profiles/conf/analytic/device").glob("*.yaml"))
    assert code.startswith(f"tokenyard profile analytic: no device=b2000; there are {', '.join(devices)}")
    assert "\n" not in code
    assert "search path" not in code


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("measure", ["An anchor is timed", "grid: full, gpu, large, quick, vllm"]),
        ("campaign", ["tokenyard profile campaign device=cuda minutes=8"]),
    ],
)
def test_help_of_what_measures_leaves_nothing_behind(verb, told, tmp_path):
    line = [sys.executable, "-m", "experiments.cli", "profile", verb, "--help"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert [one for one in told if one not in done.stdout] == []
    assert list(tmp_path.iterdir()) == []
