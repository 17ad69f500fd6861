"""What runs need beyond `experiments.run.made`, loaded: in the process that the workers of a sweep are forked from."""

from __future__ import annotations

from contextlib import suppress


def _warm() -> None:
    """Load what makes runs, and libraries, and read the defaults; parts of a run are loaded when it names them."""
    import pyarrow.csv
    import pyarrow.pandas_compat  # noqa: F401

    from experiments.run.made import Work
    from experiments.settings.command import read

    work = Work(read([]))
    with work.begun():
        work.composed([])


with suppress(Exception, KeyboardInterrupt):  # whatever is wrong, the command or its runs will say so
    _warm()
