"""Results as pandas frames, for notebooks: those of a folder, or of one run that is made now.

    from experiments.notebook import frames, run

    sweep = frames("results/demo")                    # of every complete run below the folder
    one = run("policy=rtlm", "trace.rate=8")          # as `tokenyard policy=rtlm trace.rate=8`, and kept as that is
    one.requests.query("measured").groupby("policy")["predicted_tokens"].mean()

Columns and units: docs/results.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.run.made import outcomes
from experiments.run.results import Folder
from experiments.run.sweep import SweepLog
from experiments.run.training import KEEP
from experiments.settings import command
from experiments.settings.check import problems, unwritable
from experiments.settings.wording import SettingError
from experiments.tables.collect import collect, complete_folders
from experiments.tables.memory import settings_and_run, stored, with_settings
from sim.metrics import measured_window


@dataclass(frozen=True)
class Frames:
    """What runs left: a row a request, a step (with record=steps), a run, a use of memory (audit=true), a span (jobs).

    Each row begins with the settings of its run, and `run`, its folder's name. `measured` says whether a request
    arrived in the measured window, which the metrics in `summaries` are of.
    """

    requests: pd.DataFrame
    steps: pd.DataFrame
    summaries: pd.DataFrame
    audit: pd.DataFrame
    spans: pd.DataFrame


def frames(results: str | Path) -> Frames:
    """Of all complete runs below the folder `results`; FileNotFoundError if there is none."""
    return _of(complete_folders(Path(results)))


def run(*overrides: str) -> Frames:
    """Of the run with these settings, as the command line takes them; it is made unless it is complete already.

    SettingError, as the command line says it, for settings that cannot be run; RuntimeError for a run that fails.
    """
    given = command.read(list(overrides))
    if not given.runs or given.flags.multirun:
        raise SettingError(f"run takes settings, and no flags; got {' '.join(overrides)}")
    if lines := problems(given) or unwritable(given):
        raise SettingError(*lines)
    print(*given.notes, sep="\n", end="\n" * bool(given.notes), file=sys.stderr)
    with given.composer() as composer:
        job = composer.job(composer.parsed(given.texts))
    texts = [one.text for one in job.given]
    choices = {group: str(option) for group, option in job.choices.items()}
    os.environ[KEEP] = "1" if given.fits else ""
    log = SweepLog()
    try:
        made = list(outcomes(job.cfg, choices, texts, progress=True))
    finally:
        log.close()
        del os.environ[KEEP]
    if failed := [outcome for outcome in made if outcome.state == "failed"]:
        raise RuntimeError("; ".join(f"{outcome.overrides or 'the defaults'}: {outcome.error}" for outcome in failed))
    return _of([Folder(Path(outcome.folder), outcome.asked) for outcome in made])


def _of(folders: Iterable[Folder]) -> Frames:
    by_name = {folder.path.name: folder for folder in folders}
    summaries = collect(by_name.values())
    requests = []
    for row in settings_and_run(summaries):
        folder = by_name[row["run"]]
        table = pd.read_parquet(folder.path / "requests.parquet")
        first, last = measured_window(dict(table.items()), folder.made_of()["config"]["warmup"])
        requests.append(with_settings(row, table.assign(measured=table["arrival"].between(first, last))))
    steps, audit, spans = (stored(name, summaries, by_name) for name in ("steps", "audit", "spans"))
    return Frames(pd.concat(requests, ignore_index=True), steps, summaries, audit, spans)
