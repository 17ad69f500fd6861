"""Where the runs of a sweep are made: by processes of this machine, on a Ray cluster, or by submitit's jobs."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.run import made, server
from experiments.run.made import Work

Jobs = Sequence[Sequence[str]]
LAUNCHERS = ("processes", "ray", "submitit_local", "submitit_slurm")


class WorkerKilledError(RuntimeError):
    """A worker of the sweep ended without a word."""


class LauncherError(RuntimeError):
    """A launcher that is not there, is told wrong, or finds nobody to make the runs."""


def launcher_of(settings: DictConfig) -> Launcher:
    """The launcher that `hydra.launcher` describes; LauncherError for one of Hydra's own, which make no runs here."""
    target = str(settings.get("_target_"))
    if not target.startswith(f"{__name__}."):
        raise LauncherError(f"hydra/launcher: {target} makes no runs here; there are {', '.join(LAUNCHERS)}")
    launcher: Launcher = instantiate(settings)
    return launcher


def _needs(extra: str) -> LauncherError:
    """That an `extra` is not installed."""
    return LauncherError(f"hydra/launcher={extra} needs the extra {extra}: pip install 'tokenyard[{extra}]'")


class Launcher(Protocol):
    """Makes the runs of jobs; what a log of theirs says, where that is not in this machine's, is for `tell`."""

    def launch(self, work: Work, jobs: Jobs, tell: Callable[[str], None]) -> None:
        """Return when all are through."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_a_time(n_jobs: int, most: int) -> int:
    if n_jobs == 0 or not isinstance(n_jobs, int):
        raise LauncherError(f"hydra.launcher.n_jobs must be a whole number, and not 0, got {n_jobs}")
    return n_jobs if n_jobs > 0 else max(1, most + 1 + n_jobs)


@dataclass
class Processes:
    """Processes of this machine, `n_jobs` of them (-1: as many as cores); with one, that of the command."""

    n_jobs: int = -1

    def launch(self, work: Work, jobs: Jobs, tell: Callable[[str], None]) -> None:
        """Each process takes the next job when it is through with one."""
        count = min(_at_a_time(self.n_jobs, cores()), len(jobs))
        if count == 1:
            with work.begun():
                for texts in jobs:
                    work.make(texts)
            return
        context = server.start()
        before = set(multiprocessing.active_children())
        with ProcessPoolExecutor(count, context, made.begin, (work,)) as pool:
            try:
                for done in as_completed([pool.submit(made.one, texts) for texts in jobs]):
                    done.result()
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in set(multiprocessing.active_children()) - before:
                    process.terminate()
                if isinstance(error, BrokenProcessPool):
                    raise WorkerKilledError("a worker of the sweep was killed, or ran out of memory") from error
                raise


@dataclass
class Ray:
    """Tasks of a Ray cluster; those of a node that is lost are given to others."""

    address: str = "auto"
    n_jobs: int = -1
    num_cpus: float = 1

    def launch(self, work: Work, jobs: Jobs, tell: Callable[[str], None]) -> None:
        """A task a job, at most `n_jobs` at a time."""
        try:
            import ray
        except ModuleNotFoundError as error:
            raise _needs("ray") from error
        try:
            self._answers()
            ours = {name: text for name, text in work.environment.items() if name.startswith(made.OURS)}
            env = {"env_vars": ours | server.same_code()}
            with chdir("/"):  # where Ray's workers would look for code first
                ray.init(address=self.address, runtime_env=env, log_to_driver=False, logging_level="warning")
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            said = (str(error).splitlines() or [""])[0]
            raise LauncherError(f"hydra.launcher.address={self.address}: no Ray cluster answers: {said}") from error
        try:
            task = ray.remote(num_cpus=self.num_cpus, max_retries=-1, scheduling_strategy="SPREAD")(made.apart)
            handed, left = ray.put(work), iter(jobs)
            count = _at_a_time(self.n_jobs, len(jobs))
            begun = [task.remote(handed, [texts]) for texts in islice(left, count)]
            while begun:
                [done], begun = ray.wait(begun, num_returns=1)
                tell(ray.get(done))
                begun += [task.remote(handed, [texts]) for texts in islice(left, 1)]
        finally:
            ray.shutdown()

    def _answers(self) -> None:
        """OSError where nobody listens at HOST:PORT, which Ray itself would wait for."""
        host, colon, port = self.address.rpartition(":")
        if colon and port.isdigit():
            socket.create_connection((host.removeprefix("ray://").strip("[]"), int(port)), timeout=10).close()


@dataclass
class Submitit:
    """Jobs of submitit, as a Slurm array, each with a share of the runs."""

    cluster: str = "local"
    folder: str = "submitit"
    n_jobs: int = 2
    minutes: int = 60
    options: Mapping[str, Any] = field(default_factory=dict)

    def launch(self, work: Work, jobs: Jobs, tell: Callable[[str], None]) -> None:
        """Every `n_jobs`-th run to each, so that shares are alike."""
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise _needs("submitit") from error
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        except RuntimeError as error:  # no Slurm, for one
            raise LauncherError(f"hydra.launcher.cluster={self.cluster}: {error}") from error
        more = {name: value for name, value in self.options.items() if value is not None}
        executor.update_parameters(timeout_min=self.minutes, **more)
        count = min(_at_a_time(self.n_jobs, len(jobs)), len(jobs))
        with server.handed_on():
            begun = executor.map_array(made.apart, [work] * count, [jobs[number::count] for number in range(count)])
        for job in begun:
            tell(job.result())
