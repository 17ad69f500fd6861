"""Those who make the tries of a search: processes of this machine, or the one of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from omegaconf import DictConfig
from tqdm import tqdm

from experiments.run import made, server
from experiments.run.launch import cores
from experiments.run.made import Work
from experiments.settings.wording import SettingError

P = ParamSpec("P")
T = TypeVar("T")
Submit = Callable[..., "Future[Any]"]


@contextmanager
def workers(work: Work, launcher: DictConfig) -> Iterator[Submit]:
    """What takes a function and its arguments, and gives a Future; SettingError for a launcher of another machine."""
    if not str(launcher.get("_target_")).endswith(".Processes"):
        raise SettingError("a search is made on this machine: hydra/launcher=processes, hydra.launcher.n_jobs=N")
    work = replace(work, environment=dict(os.environ))  # with what the search has said since its command was read
    count = launcher.n_jobs if launcher.n_jobs > 0 else max(1, cores() + 1 + launcher.n_jobs)
    if count == 1:
        with made.here(work):
            yield _at_once
        return
    with ProcessPoolExecutor(count, server.start(), made.begin, (work,)) as pool:
        try:
            yield pool.submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def bar(what: str, unit: str) -> tqdm[Any]:
    """A bar over tries, of which nobody knows how many there will be; where each look at it is a line, few of them."""
    seldom = 0.1 if sys.stderr.isatty() else 30.0  # s
    return tqdm(desc=what, unit=unit, mininterval=seldom, maxinterval=2 * seldom)


def _at_once(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
    done: Future[T] = Future()
    done.set_result(function(*arguments, **named))
    return done
