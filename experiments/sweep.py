"""What happens around runs: each one's outcome in a log that the parent process reads, and a progress bar over it."""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tqdm import tqdm

LOG_VARIABLE = "TOKENYARD_SWEEP_LOG"  # a sweep's workers are other processes, which inherit the environment


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended: `state` is `complete`, `skipped` (complete already) or `failed`, with its error."""

    folder: str
    state: str
    overrides: str
    seconds: float = 0.0
    error: str = ""
    reference: str | None = None  # what the table of the sweep takes differences from

    def append(self) -> None:
        """Add this outcome to the log of the sweep that the process belongs to."""
        with open(os.environ[LOG_VARIABLE], "a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(self)) + "\n")


class SweepLog:
    """The outcomes of the runs of one command."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="tokenyard-", suffix=".jsonl")
        os.close(handle)
        self.path = Path(name)
        os.environ[LOG_VARIABLE] = name

    def outcomes(self) -> list[Outcome]:
        """All outcomes so far, in the order in which the runs ended."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]

    def close(self) -> None:
        """Remove the log."""
        self.path.unlink(missing_ok=True)


def count_runs(overrides: list[str], seed: int | Sequence[int] = 0) -> int:
    """How many runs a sweep over `overrides` makes; each job one for each `seed`, where they do not sweep it."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    swept = {
        override.key_or_group: len(list(override.sweep_string_iterator()))
        for override in parsed
        if override.is_sweep_override()
    }
    each = 1 if "seed" in swept or isinstance(seed, int) else len(seed)
    return each * math.prod(swept.values())


class SweepProgress(Callback):
    """A progress bar over the runs of a sweep, drawn by the process that launched it."""

    def __init__(self) -> None:
        self._stop: threading.Event | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What goes to the workers, which draw nothing."""
        return {"_stop": None}

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Start the bar."""
        self._stop = threading.Event()
        params = config.hydra.sweeper.params or {}
        given = list(config.hydra.overrides.task)
        named = {override.split("=", 1)[0].lstrip("+~") for override in given}
        swept = [f"{key}={value}" for key, value in params.items() if key not in named]
        total = count_runs([*given, *swept], config.seed)
        watched = (Path(os.environ[LOG_VARIABLE]), total, self._stop)
        threading.Thread(target=self._watch, args=watched, daemon=True).start()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Let the bar finish."""
        if self._stop is not None:
            self._stop.set()

    def _watch(self, log: Path, total: int, stop: threading.Event) -> None:
        with tqdm(total=total, unit="run", desc="sweep") as bar:
            while True:
                stopped = stop.wait(0.2)
                lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
                bar.update(len(lines) - bar.n)
                failed = sum('"state": "failed"' in line for line in lines)
                if failed:
                    bar.set_postfix(failed=failed)
                if stopped or bar.n >= total:
                    return
