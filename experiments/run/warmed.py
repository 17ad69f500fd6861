"""What runs need beyond `experiments.run.made`, loaded: in the process that the workers of a sweep are forked from."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

LIBRARIES = ("pyarrow.csv", "pyarrow.pandas_compat")  # code of ours is loaded when a run names it, and noted then


def _warm() -> None:
    """Load them and what makes runs, and read the yaml files of the defaults."""
    from experiments.run.made import Work
    from experiments.settings.command import read

    for name in LIBRARIES:
        import_module(name)
    work = Work(read([]))
    with work.begun():
        work.composed([])


with suppress(Exception, KeyboardInterrupt):  # whatever is wrong, the command or its runs will say so
    _warm()
