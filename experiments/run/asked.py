"""Commands that take every setting of a run, and a few of their own, and are no run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from experiments.settings import command
from experiments.settings.check import problems
from experiments.settings.wording import SettingError


def ask(verb: str, own: re.Pattern[str], teaches: str | None, app: Callable[[], object]) -> None:
    """Start `app` with the command line if the settings on it are a run's; `own` matches those that are not.

    Prints what the command `teaches` when it is asked for help; what is wrong ends the process, a line each.
    """
    try:
        given = command.read([one for one in sys.argv[1:] if not own.match(one)])
        if given.flags.help:
            print(teaches)
            return
        lines = problems(given) if given.runs else []
    except SettingError as error:
        lines = list(error.lines)
    if lines:
        sys.exit("\n".join(f"tokenyard {verb}: {line}" for line in lines))
    app()
