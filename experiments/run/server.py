"""The process that a sweep's workers are forked from: it loads what they need while the command does the same."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

LOADED = "experiments.run.warmed"
ELSEWHERE = ("hydra/launcher=", "hydra.launcher.n_jobs=1")  # where a sweep needs no such process


def wanted(arguments: Iterable[str]) -> bool:
    """Whether a command is a sweep by processes of this machine, as far as its words tell."""
    words = list(arguments)
    return bool({"-m", "--multirun"} & set(words)) and not any(word.startswith(ELSEWHERE) for word in words)


def same_code() -> dict[str, str]:
    """The variables by which another process finds the code where this one does, whatever lies in its folder."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def handed_on() -> Iterator[None]:
    """Within, `same_code` is what processes inherit that this one begins."""
    own = dict(os.environ)
    os.environ |= same_code()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(own)


def start() -> BaseContext:
    """Begin it, unless it runs; it finds the code where this process does, and nowhere else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([LOADED])
    with handed_on():
        forkserver.ensure_running()
    return context
