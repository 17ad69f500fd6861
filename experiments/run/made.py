"""The runs of a command, one by one: made unless they are complete, a failure written down, the outcome told."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from experiments.conf.copies import copied
from experiments.conf.loader import Bases, keep, kept
from experiments.identity.of_run import IRRELEVANT, SPOKEN, digest, identity, made_by
from experiments.run.inputs import read_inputs
from experiments.run.load import at_load
from experiments.run.measure import measure
from experiments.run.results import Folder
from experiments.run.sweep import Outcome, SweepLog
from experiments.settings.command import Command
from experiments.settings.toplevel import checked_folder

OURS = "TOKENYARD_"  # variables that workers on other machines have too


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
        with folder.held() as claim:
            if folder.state == "complete":
                folder.ask()
                return replace(outcome, state="skipped")
            try:
                folder.begin(made_of)
                metrics, tables = measure(cfg, inputs, progress)
                more = {"steps.parquet": tables.steps} if cfg.record != "requests" else {}
                more |= {"spans.parquet": tables.spans} if cfg.record == "jobs" else {}
                more |= {"audit.parquet": tables.audit} if cfg.audit else {}
                claim.check()
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
        of_seed = copied(cfg)
        of_seed.seed = seed
        yield run(of_seed, choices, [*others, f"seed={seed}"], progress)


def make(cfg: DictConfig, choices: dict[str, str], overrides: list[str], progress: bool) -> None:
    """Make the runs of one job, and tell the log of the command what became of each."""
    reference = None if cfg.reference is None else str(cfg.reference)
    for outcome in outcomes(cfg, choices, overrides, progress):
        replace(outcome, reference=reference).append()


@dataclass(frozen=True)
class Work:
    """What a worker of a sweep needs to know: the command, its folder, and what the process of the command had about.

    A worker on another machine finds the folder under the same name, and the same code.
    """

    command: Command
    folder: str = field(default_factory=os.getcwd)
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    path: list[str] = field(default_factory=lambda: list(sys.path))
    bases: Bases = field(default_factory=kept, repr=False, compare=False)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Within, this process composes what the command does."""
        with self.command.composer():
            yield

    def make(self, texts: Sequence[str], progress: bool = False) -> None:
        """Compose the job of `texts`, once, and make its runs."""
        make(*self.composed(texts), progress)

    def composed(self, texts: Sequence[str]) -> tuple[DictConfig, dict[str, str], list[str]]:
        """The configuration of the job of `texts`, the choice made in each group, and the texts but Hydra's own."""
        try:
            loader = GlobalHydra.instance().config_loader()
            cfg = loader.load_configuration(self.command.flags.config_name or "config", list(texts), RunMode.RUN)
        except (HydraException, OmegaConfBaseException) as error:  # in one piece, for another process
            raise HydraException("\n".join(str(said) for said in (error, error.__cause__) if said)) from None
        known = cfg.hydra.runtime.choices
        choices = {str(key): str(value) for key, value in known.items() if not str(key).startswith("hydra/")}
        os.environ.update({str(name): str(value) for name, value in cfg.hydra.job.env_set.items()})
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg, choices, [text for text in texts if not text.startswith("hydra")]


_working: list[Work] = []
_for_good = ExitStack()


def _work(work: Work) -> None:
    """Become a worker of `work`."""
    if _working == [work]:
        return
    assert not _working, "a worker is of one command"
    _working.append(work)
    os.chdir(work.folder)
    sys.path[:0] = [place for place in work.path if place not in sys.path]
    keep(work.bases)
    _for_good.enter_context(work.begun())


def begin(work: Work) -> None:
    """Become a worker of another process on this machine, and end when that does."""
    gc.freeze()  # what the fork server has loaded is no garbage
    os.environ.clear()
    os.environ.update(work.environment)
    _work(work)
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def one(texts: Sequence[str]) -> None:
    """Make the runs of a job, in a process that has begun."""
    _working[0].make(texts)


@contextmanager
def here(work: Work) -> Iterator[None]:
    """Within, this process is itself a worker of `work`."""
    with work.begun():
        _working.append(work)
        try:
            yield
        finally:
            _working.clear()


def working() -> Work:
    """What this process, which has begun, is a worker of."""
    return _working[0]


def apart(work: Work, jobs: Sequence[Sequence[str]]) -> str:
    """Make the runs of `jobs` where no file but those of the results is shared; what a log of them says."""
    os.environ.update({name: value for name, value in work.environment.items() if name.startswith(OURS)})
    _work(work)
    log = SweepLog()
    try:
        for texts in jobs:
            work.make(texts)
        return log.path.read_text(encoding="utf-8")
    finally:
        log.close()
