"""What happens around runs: each one's outcome in a log that the parent process reads, and a progress bar over it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from tqdm import tqdm

from experiments.run.results import Folder, Known

PREFIX = "tokenyard-"
KILLED = "its process ended without a word: it was killed, or ran out of memory"
OF_SWEEPS = ("hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweeper", "hydra.mode")
LOG_VARIABLE = "TOKENYARD_SWEEP_LOG"  # a sweep's workers are other processes, which inherit the environment


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended: `state` is `complete`, `skipped` (complete already) or `failed`, with its error.

    `asked` says by which names the run was asked for: see `experiments.run.results.Folder`.
    """

    folder: str
    state: str
    overrides: str
    seconds: float = 0.0
    error: str = ""
    asked: dict[str, Any] | None = None
    reference: str | None = None  # what the table of the sweep takes differences from

    def begin(self) -> None:
        """Say in the log of the sweep that the run is under way; SystemExit where the log cannot be written."""
        _write({"begun": self.overrides})

    def append(self) -> None:
        """Add this outcome to the log of the sweep that the process belongs to; SystemExit where that cannot be."""
        _write(asdict(self))


def _write(line: dict[str, Any]) -> None:
    """Add a line to the log in one piece; the sweep ends where it cannot be, as nothing would tell how its runs did."""
    log = os.environ[LOG_VARIABLE]
    text = (json.dumps(line) + "\n").encode()
    try:
        handle = os.open(log, os.O_WRONLY | os.O_APPEND)
        try:
            written = os.write(handle, text)
        finally:
            os.close(handle)
    except OSError as error:
        raise SystemExit(f"the log of the sweep, {log}, cannot be written: {error.strerror}; see TMPDIR") from None
    if written < len(text):
        raise SystemExit(f"the log of the sweep, {log}, cannot be written: no room is left; see TMPDIR")


class SweepLog:
    """The outcomes of the runs of one command; SystemExit where no log of them can be made."""

    def __init__(self) -> None:
        try:
            handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=f".{os.getpid()}.jsonl")
        except OSError as error:
            raise SystemExit(f"the log of the sweep cannot be made: {error.strerror or error}; see TMPDIR") from None
        os.close(handle)
        self.path = Path(name)
        os.environ[LOG_VARIABLE] = name
        for left in self.path.parent.glob(f"{PREFIX}*.*.jsonl"):
            if not _is_running(int(pid) if (pid := left.name.split(".")[-2]).isdigit() else 0):
                left.unlink(missing_ok=True)  # of a command that was killed

    def outcomes(self, broken: str | None = None) -> list[Outcome]:
        """All outcomes so far, in the order in which the runs ended; then, as failed, the runs of which no word came.

        Those are told once a run has begun, or where the sweep is `broken` (why); of one interrupted, by None, none is.
        """
        lines = _read(self.path.read_text(encoding="utf-8", errors="replace").splitlines())
        found = [Outcome(**line) for line in lines if "state" in line]
        begun = Counter(line["begun"] for line in lines if "begun" in line)
        expected = Counter(run for line in lines for run in line.get("expected", ()))
        told = Counter(outcome.overrides for outcome in found)
        if broken is None:
            return found
        silent = [*(begun - told).elements()]
        if begun or broken:
            silent += ((expected - begun) - told).elements()
        missing = max(begun.total(), expected.total()) - len(found)
        return found + [
            Outcome("", "failed", run, error=KILLED if begun[run] else f"not made: {broken or 'the sweep ended early'}")
            for run in silent[:missing]
        ]

    def close(self) -> None:
        """Remove the log."""
        self.path.unlink(missing_ok=True)


def _read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Those of the `lines` of a log that are whole."""
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def jobs_of(overrides: list[str]) -> list[list[str]]:
    """The texts of each job of a sweep over `overrides`, of which those count that are about no sweep.

    Of two overrides of a key the later counts, in the place of the first.
    """
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)  # for glob()
    [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(overrides), None)
    return [[text for text in job if not text.startswith(OF_SWEEPS)] for job in jobs]


def planned(overrides: list[str], seed: int | Sequence[int] = 0) -> list[str]:
    """What the runs of a sweep over `overrides` are called; a job is one for each `seed`, where there are many."""
    runs = []
    for job in jobs_of(overrides):
        typed = [override for override in job if not override.startswith("hydra")]
        given = [yaml.safe_load(override.removeprefix("seed=")) for override in typed if override.startswith("seed=")]
        seeds = given[-1] if given else seed
        if isinstance(seeds, Sequence) and not isinstance(seeds, str):
            others = [override for override in typed if not override.startswith("seed=")]
            runs += [" ".join([*others, f"seed={one}"]) for one in seeds]
        else:
            runs.append(" ".join(typed))
    return runs


@contextmanager
def progress(runs: list[str], known: dict[str, Known]) -> Iterator[None]:
    """Note which `runs` are to come, and draw a bar over them, from the log of the sweep.

    Those that are complete are read meanwhile, and `known` by their folder: so the table of many need not wait for it.
    """
    _write({"expected": runs})
    ended = threading.Event()
    log = Path(os.environ[LOG_VARIABLE])
    watch = threading.Thread(target=_watch, args=(log, len(runs), known, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def tell(text: str) -> None:
    """Add what another log says to that of the sweep."""
    for line in text.splitlines():
        _write(json.loads(line))


def _watch(log: Path, total: int, known: dict[str, Known], ended: threading.Event) -> None:
    failed, begun = 0, ""
    seldom = 0.1 if sys.stderr.isatty() else 10.0  # s: where each look is a line, as in a file, few of them
    bar = tqdm(total=total, unit="run", desc="sweep", mininterval=seldom, maxinterval=2 * seldom)
    with log.open(encoding="utf-8", errors="replace") as lines, bar:
        while True:
            stopped = ended.wait(0.2)
            *whole, begun = (begun + lines.read()).split("\n")
            states = [(said["state"], said["folder"]) for said in _read(whole) if "state" in said]
            bar.update(len(states))
            failed += sum(state == "failed" for state, _ in states)
            if failed:
                bar.set_postfix(failed=failed, refresh=False)
            for state, folder in states:
                if state != "failed" and not ended.is_set():
                    with suppress(ValueError, OSError):  # whoever makes the table finds out, and says so
                        known[folder] = Folder(Path(folder)).known()
            if stopped or bar.n >= total:
                return
