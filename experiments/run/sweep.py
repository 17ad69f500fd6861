"""What happens around runs: each one's outcome in a log that the parent process reads, and a progress bar over it."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.settings.toplevel import check_writable
from experiments.settings.wording import SettingError

PREFIX = "tokenyard-"
KILLED = "its process ended without a word: it was killed, or ran out of memory"
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
        lines = self._lines()
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

    def _lines(self) -> list[dict[str, Any]]:
        """The lines that are whole."""
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def close(self) -> None:
        """Remove the log."""
        self.path.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def planned(overrides: list[str], seed: int | Sequence[int] = 0) -> list[str]:
    """What the runs of a sweep over `overrides` are called; a job is one for each `seed`, where there are many.

    Of two overrides of a key the later counts, in the place of the first.
    """
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)  # for glob()
    [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(overrides), None)
    runs = []
    for job in jobs:
        typed = [override for override in job if not override.startswith("hydra")]
        given = [yaml.safe_load(override.removeprefix("seed=")) for override in typed if override.startswith("seed=")]
        seeds = given[-1] if given else seed
        if isinstance(seeds, Sequence) and not isinstance(seeds, str):
            others = [override for override in typed if not override.startswith("seed=")]
            runs += [" ".join([*others, f"seed={one}"]) for one in seeds]
        else:
            runs.append(" ".join(typed))
    return runs


class SweepProgress(Callback):
    """A progress bar over the runs of a sweep, drawn by the process that launched it."""

    def __init__(self) -> None:
        self._stop: threading.Event | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes to the workers, which draw nothing."""
        return {"_stop": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note which runs are to come, and start the bar; SystemExit, in a line, where their folder cannot be made."""
        params = config.hydra.sweeper.params or {}
        swept = [f"{key}={value}" for key, value in params.items()]
        runs = planned([*swept, *config.hydra.overrides.task], config.seed)
        try:
            check_writable(config.results, config.name)
        except SettingError as error:
            raise SystemExit(f"no run was begun: {error}") from None
        _write({"expected": runs})
        self._stop = threading.Event()
        watched = (Path(os.environ[LOG_VARIABLE]), len(runs), self._stop)
        threading.Thread(target=self._watch, args=watched, daemon=True).start()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let the bar finish."""
        if self._stop is not None:
            self._stop.set()

    def _watch(self, log: Path, total: int, stop: threading.Event) -> None:
        failed = 0
        with log.open(encoding="utf-8", errors="replace") as lines, tqdm(total=total, unit="run", desc="sweep") as bar:
            while True:
                stopped = stop.wait(0.2)
                more = lines.read()
                bar.update(more.count('"state": '))
                failed += more.count('"state": "failed"')
                if failed:
                    bar.set_postfix(failed=failed)
                if stopped or bar.n >= total:
                    return
