"""Commands in processes of their own: forked from one that has loaded what they need, which takes seconds each time."""

import multiprocessing
import os
import resource
import sys
from pathlib import Path

from experiments.run import run

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["experiments.run.run", "experiments.run.measure"])


def begun(said: Path, folder: Path, arguments: list[str], bytes_a_file: int | None = None, **environment: str):
    """A command that has begun in `folder`, as a group of processes; it writes to `said`.

    No file of it may grow beyond `bytes_a_file`, as if the disk were full.
    """
    process = CONTEXT.Process(target=_typed, args=(said, folder, arguments, bytes_a_file, environment))
    process.start()
    return process


def done(said: Path, folder: Path, arguments: list[str], **more) -> tuple[int, str]:
    """The exit code of a command, and what it wrote."""
    process = begun(said, folder, arguments, **more)
    process.join(timeout=100)
    return process.exitcode, said.read_text()


def _typed(said: Path, folder: Path, arguments: list[str], bytes_a_file: int | None, environment: dict) -> None:
    os.setsid()
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if bytes_a_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(":")
    sys.argv[:] = ["tokenyard", *arguments]
    run.main()
