"""Simulate: replay a trace on a cluster under a policy, once, or with -m for every combination of settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Thread

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from experiments.run.launch import LauncherError, WorkerKilledError, launcher_of
from experiments.run.made import Work
from experiments.run.results import Folder, Known
from experiments.run.sweep import Outcome, SweepLog, jobs_of, planned, progress, tell
from experiments.run.training import KEEP
from experiments.settings import command, helps
from experiments.settings.check import composes, problems, unwritable
from experiments.settings.wording import SettingError, one_line
from experiments.tables.collect import collect
from experiments.tables.compare import render
from experiments.tables.reference import quoted
from experiments.tables.stats import quantile
from experiments.validation.shown import report as report_errors


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _show(cfg: DictConfig) -> None:
    """Hydra shows what --cfg, --info and --shell-completion ask for, and runs nothing."""


def _run(given: command.Command) -> None:
    """Make the one run of a command, or one for each of its seeds."""
    work = Work(given)
    with work.begun():
        work.make(given.texts, progress=True)


def _sweep(given: command.Command, master: DictConfig, known: dict[str, Known]) -> None:
    """Make the runs of all jobs of a command where its launcher does; `known` are those that were read meanwhile."""
    swept = [f"{key}={value}" for key, value in (master.hydra.sweeper.params or {}).items()]
    with given.composer():
        jobs = jobs_of([*swept, *given.texts])
        runs = planned([*swept, *given.texts], master.seed)
    [(master.results, _), *_] = given.folders  # which a launcher's settings may name
    launcher = launcher_of(master.hydra.launcher)
    Thread(target=quantile, args=(2,)).start()  # loads what the table's intervals need while the first runs are made
    with progress(runs, known):
        launcher.launch(Work(replace(given, master=None)), jobs, tell)


def main() -> None:
    """Run, then say what became of each run and print the table of those that are complete; exit 1 if one failed."""
    sys.argv[1:] = quoted(sys.argv[1:])
    try:
        given = _ready(sys.argv[1:])
        if given is None:
            return
    except SettingError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        raise SystemExit(1) from None
    log = SweepLog()
    known: dict[str, Known] = {}
    broken: str | None = ""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what Hydra would print a traceback of is told below in a line
    try:
        if not given.runs:
            _show()
        elif given.master is None:
            _run(given)
        else:
            _sweep(given, given.master, known)
    except KeyboardInterrupt:
        broken = None
        print("interrupted: finished runs stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None
    except HydraException as error:
        print("\n".join(str(said) for said in (error, error.__cause__) if said), file=sys.stderr)
        raise SystemExit(1) from None
    except LauncherError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    except WorkerKilledError as error:
        broken = str(error)
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except OSError as error:
        broken = f"a file cannot be written: {' '.join(str(error).split())}"
    finally:
        os.environ.pop(KEEP, None)
        failed = report(log.outcomes(broken), known)
        log.close()
    if broken:
        print(f"the sweep ended early: {broken}; the same command does the rest", file=sys.stderr)
    if broken or failed:
        raise SystemExit(1)


def _ready(arguments: list[str]) -> command.Command | None:
    """The command to go on with; None where that was to give help; SettingError for what is wrong with it."""
    given = command.read(arguments)
    if given.flags.help:
        print(helps.text(given))
        return None
    if given.runs and (lines := problems(given) or unwritable(given)):
        raise SettingError(*lines)
    sys.argv[1:] = given.in_order(arguments)
    if given.flags.cfg or given.flags.info:
        composes(given)
    os.environ[KEEP] = "1" if given.fits else ""  # where one run fits something, all replay the same rows
    print(*given.notes, sep="\n", end="\n" * bool(given.notes), file=sys.stderr)
    return given


def report(outcomes: list[Outcome], known: Mapping[str, Known]) -> int:
    """Print the outcomes and the table of the complete runs, some of them `known` by folder; the number of failures."""
    if not outcomes:
        return 0
    states = [outcome.state for outcome in outcomes]
    for outcome in outcomes:
        if outcome.state == "failed":
            see = ""
            if outcome.folder and Path(outcome.folder, "status.json").exists():
                see = f" (see {outcome.folder}/status.json)"
            said = one_line(outcome.error.removeprefix("ValueError: "))
            print(f"failed: {outcome.overrides or 'the defaults'}: {said}{see}", file=sys.stderr)
    done = [
        replace(known.get(outcome.folder) or Folder(Path(outcome.folder)), asked=outcome.asked)
        for outcome in outcomes
        if outcome.state != "failed"
    ]
    if done:
        try:
            print(render(collect(done), outcomes[0].reference, {folder.path.name: folder for folder in done}))
            for folder in {folder.path: folder for folder in done}.values():
                if text := report_errors(folder, folder.path.parent / "figures" / f"validation-{folder.path.name}"):
                    print(f"\n{text}")
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            print(f"no table, or no figure: {error}", file=sys.stderr)
            return states.count("failed") + 1
        print(f"results: {done[0].path.parent}")
    print(
        f"{len(outcomes)} runs: {states.count('complete')} made now, {states.count('skipped')} complete already, "
        f"{states.count('failed')} failed",
        file=sys.stderr,
    )
    return states.count("failed")
