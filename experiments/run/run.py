"""Simulate: replay a trace on a cluster under a policy, once, or with -m for every combination of settings."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from joblib.externals.loky.process_executor import TerminatedWorkerError
from omegaconf import DictConfig, ListConfig, OmegaConf

from experiments.identity.of_run import IRRELEVANT, SPOKEN, digest, identity, made_by
from experiments.run.inputs import read_inputs
from experiments.run.load import at_load
from experiments.run.measure import measure
from experiments.run.results import Folder
from experiments.run.sweep import Outcome, SweepLog
from experiments.run.training import KEEP
from experiments.settings import command, helps
from experiments.settings.check import composes, problems, unwritable
from experiments.settings.toplevel import checked_folder
from experiments.settings.wording import SettingError, one_line
from experiments.tables.collect import collect
from experiments.tables.compare import render
from experiments.tables.reference import quoted
from experiments.validation.shown import report as report_errors


def run(cfg: DictConfig, choices: dict[str, str], overrides: list[str], progress: bool) -> Outcome:
    """Make the results of `cfg`, unless they are there; a failure is written down beside them, and returned."""
    start = time.perf_counter()
    asked = {
        "choices": choices,
        "overrides": sorted(given for given in overrides if given.split("=")[0] not in IRRELEVANT),
        "spoken": {name: cfg.get(name) for name in SPOKEN},
    }
    outcome = Outcome("", "complete", " ".join(overrides), asked=asked)
    outcome.begin()
    folder: Folder | None = None
    try:
        at = checked_folder(cfg.results, cfg.name)
        cfg = at_load(cfg, overrides)
        inputs = read_inputs(cfg)
        made_of = identity(cfg, choices, inputs.digests())
        code = made_by(made_of["config"])
        folder = Folder(at / digest(made_of), asked)
        outcome = replace(outcome, folder=str(folder.path))
        if folder.state == "complete" and folder.is_asked():
            return replace(outcome, state="skipped")
        with folder.held():
            if folder.state == "complete":
                folder.ask()
                return replace(outcome, state="skipped")
            try:
                folder.begin(made_of)
                metrics, tables = measure(cfg, inputs, progress)
                more = {"steps.parquet": tables.steps} if cfg.record != "requests" else {}
                more |= {"audit.parquet": tables.audit} if cfg.audit else {}
                folder.complete(tables.requests, more, metrics, overrides, code)
            except Exception as error:
                with suppress(OSError):  # of a full disk, say: the outcome tells what happened first
                    folder.fail(error, overrides)
                raise
    except Exception as error:  # the sweep goes on, names the runs that failed, and exits 1
        failed = f"{type(error).__name__}: {' '.join(str(error).split())}{_place(error)}"
        return replace(outcome, state="failed", error=failed, seconds=time.perf_counter() - start)
    return replace(outcome, seconds=time.perf_counter() - start)


def _place(error: Exception) -> str:
    """Where code from elsewhere, such as somebody's own policy, raised `error`; empty if none had a hand in it."""
    known = (str(Path(__file__).resolve().parents[2]), sys.prefix, sys.base_prefix, "<")
    others = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith(known)]
    return f" ({Path(others[-1].filename).name}, line {others[-1].lineno})" if others else ""


def outcomes(cfg: DictConfig, choices: dict[str, str], overrides: list[str], progress: bool) -> Iterator[Outcome]:
    """The outcome of the run of `cfg`, or of one for each of its seeds; a log of the sweep must be there."""
    cfg.name, cfg.results = str(cfg.name), str(cfg.results)
    if not isinstance(cfg.seed, ListConfig):
        yield run(cfg, choices, overrides, progress)
        return
    others = [override for override in overrides if not override.startswith("seed=")]
    for seed in cfg.seed:
        of_seed = OmegaConf.merge(cfg, {"seed": seed})
        assert isinstance(of_seed, DictConfig)
        yield run(of_seed, choices, [*others, f"seed={seed}"], progress)


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _app(cfg: DictConfig) -> None:
    settings = HydraConfig.get()
    choices = {key: str(value) for key, value in settings.runtime.choices.items() if not key.startswith("hydra/")}
    single = settings.mode == RunMode.RUN
    overrides: Any = OmegaConf.to_container(settings.overrides.task, resolve=False)  # as they were typed
    reference = None if cfg.reference is None else str(cfg.reference)
    for outcome in outcomes(cfg, choices, overrides, progress=single):
        replace(outcome, reference=reference).append()


def main() -> None:
    """Run, then say what became of each run and print the table of those that are complete; exit 1 if one failed."""
    sys.argv[1:] = quoted(sys.argv[1:])
    try:
        if not _ready(sys.argv[1:]):
            return
    except SettingError as error:
        print(*error.lines, sep="\n", file=sys.stderr)
        raise SystemExit(1) from None
    log = SweepLog()
    broken: str | None = ""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # what Hydra would print a traceback of is told below in a line
    try:
        _app()
    except KeyboardInterrupt:
        broken = None
        print("interrupted: finished runs stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None
    except HydraException as error:
        print("\n".join(str(said) for said in (error, error.__cause__) if said), file=sys.stderr)
        raise SystemExit(1) from None
    except TerminatedWorkerError:
        broken = "a worker of the sweep was killed, or ran out of memory"
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except OSError as error:
        broken = f"a file cannot be written: {' '.join(str(error).split())}"
    finally:
        os.environ.pop(KEEP, None)
        failed = report(log.outcomes(broken))
        log.close()
    if broken:
        print(f"the sweep ended early: {broken}; the same command does the rest", file=sys.stderr)
    if broken or failed:
        raise SystemExit(1)


def _ready(arguments: list[str]) -> bool:
    """Whether Hydra is to go on with the command line: help is given here; SettingError for what is wrong with it."""
    given = command.read(arguments)
    if given.flags.help:
        print(helps.text(given))
        return False
    if given.runs and (lines := problems(given) or unwritable(given)):
        raise SettingError(*lines)
    sys.argv[1:] = given.in_order(arguments)
    if given.flags.cfg or given.flags.info:
        composes(given)
    os.environ[KEEP] = "1" if given.fits else ""  # where one run fits something, all replay the same rows
    print(*given.notes, sep="\n", end="\n" * bool(given.notes), file=sys.stderr)
    return True


def report(outcomes: list[Outcome]) -> int:
    """Print the outcomes and the table of the complete runs; the number of failures."""
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
    done = [Folder(Path(outcome.folder), outcome.asked) for outcome in outcomes if outcome.state != "failed"]
    if done:
        try:
            print(render(collect(done), outcomes[0].reference))
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
