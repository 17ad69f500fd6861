"""Every run of a sweep is told of, also where its process was killed or the log of the sweep cannot be written."""

import os
import time
from pathlib import Path

import pytest

from experiments.run.results import Known
from experiments.run.sweep import KILLED, LOG_VARIABLE, Outcome, SweepLog, _write, progress
from experiments.tables.collect import collect, complete_folders
from tests.apart import begun
from tests.experiments.run.test_run import SMALL, small, typed  # noqa: F401 - a fixture

DEADLY = """
import os, signal
from sim import Order
class Deadly(Order):
    def rank(self, job, now):
        if os.getpid() != int(os.environ["DEADLY_SPARES"]):  # where the settings are checked
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.0
"""


@pytest.fixture
def log(tmp_path, monkeypatch) -> SweepLog:
    monkeypatch.setenv(LOG_VARIABLE, "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return SweepLog()


def test_runs_of_which_no_word_came_are_failed_and_named(log):
    _write({"expected": ["a", "b", "c"]})
    assert log.outcomes("") == [], "none has begun: something else was wrong, and is told elsewhere"
    assert [outcome.error for outcome in log.outcomes("full")] == ["not made: full"] * 3
    done, killed = Outcome("x", "complete", "a"), Outcome("", "", "b")
    done.begin()
    done.append()
    killed.begin()
    with log.path.open("a") as file:
        file.write('{"folder": "y", "sta')  # of a process that was killed while it wrote
    told = {outcome.overrides: (outcome.state, outcome.error) for outcome in log.outcomes("")}
    assert told == {"a": ("complete", ""), "b": ("failed", KILLED), "c": ("failed", "not made: the sweep ended early")}
    assert log.outcomes(None) == [done], "an interrupted sweep names none"


def test_the_log_of_a_killed_command_is_removed_by_the_next(log, tmp_path):
    left = tmp_path / "tokenyard-abc.999999999.jsonl"
    running = tmp_path / f"tokenyard-abc.{os.getpid()}.jsonl"
    foreign = tmp_path / "tokenyard-notes.jsonl"
    for path in (left, running, foreign):
        path.touch()
    SweepLog().close()
    assert [path.exists() for path in (left, running, foreign)] == [False, True, True]


def test_a_log_that_cannot_be_written_ends_the_sweep_in_a_line(log, monkeypatch):
    monkeypatch.setenv(LOG_VARIABLE, str(log.path.parent))
    with pytest.raises(SystemExit, match=r"the log of the sweep, .* cannot be written: Is a directory; see TMPDIR"):
        Outcome("x", "complete", "a").append()
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(SystemExit, match="the log of the sweep cannot be made: No such file or directory"):
        SweepLog()


def test_a_worker_that_is_killed_is_told_in_a_line_and_its_runs_are_named(tmp_path, typed, monkeypatch):  # noqa: F811
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    monkeypatch.setenv("DEADLY_SPARES", str(os.getpid()))
    monkeypatch.syspath_prepend(tmp_path)
    sweep = ["-m", *SMALL, "seed=0,1", "hydra.launcher.n_jobs=2", "policy=fifo", "policy.order._target_=deadly.Deadly"]
    code, said = typed(tmp_path, *sweep)
    assert code == 1
    assert said.count("failed: ") == 2
    assert "2 runs: 0 made now, 0 complete already, 2 failed" in said
    assert "the sweep ended early: a worker of the sweep was killed, or ran out of memory" in said
    assert "Traceback" not in said


def test_runs_are_read_for_the_table_while_others_are_made(tmp_path, typed, log):  # noqa: F811
    code, _ = typed(tmp_path, *SMALL, "policy=fifo", "seed=[0,1]", "predictor=oracle", "name=x")
    assert code == 0
    done = sorted(complete_folders(tmp_path / "x"), key=lambda folder: folder.path)
    os.environ[LOG_VARIABLE] = str(log.path)
    known: dict[str, Known] = {}
    with progress(["a", "b", "c", "d"], known):
        for folder in done:
            Outcome(str(folder.path), "complete", "a").append()
        Outcome(str(tmp_path / "x" / "gone"), "skipped", "c").append()
        Outcome(str(done[0].path), "failed", "d").append()
        until = time.monotonic() + 60
        while len(known) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    assert sorted(known) == [str(folder.path) for folder in done], "a damaged one is left to whoever makes the table"
    for folder in done:
        one = known[str(folder.path)]
        assert (one.path, one.read) == (folder.path, (folder.made_of(), folder.status(), folder.summary()))
    assert collect(known.values()).equals(collect(done))


def test_two_processes_that_are_asked_for_one_run_make_it_once(tmp_path):
    processes = []
    for number, rate in enumerate(("30", "30.0")):
        line = small(f"trace.rate={rate}", "trace.requests=2000", f"results={tmp_path}")
        processes.append(begun(tmp_path / f"said.{number}", tmp_path, line))
    for process in processes:
        process.join(timeout=100)
    said = [(tmp_path / f"said.{number}").read_text() for number in range(2)]
    assert sorted("1 runs: 1 made now" in text for text in said) == [False, True], said
    assert sorted("1 runs: 0 made now, 1 complete already, 0 failed" in text for text in said) == [False, True], said
