"""Give tokenyard random settings and see what it makes of them: `python tests/fuzz_settings.py`.

Each command line must end in a complete run, or be refused before anything runs, in lines that each name a setting.
All else is a defect: a traceback, a message of Python's own, a hang, a setting that was given and changes nothing, a
refusal of what is sound. Defects are printed with the command that shows them again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # run as a file: imports begin at the root, for the folders here bear the packages' names
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.settingsfuzz.draw import Case, draw
from tests.settingsfuzz.judge import DEFECTS, OUTCOMES, Verdict, judge


def verdicts(seed: int, numbers: range, effects: int = 1) -> Iterator[tuple[Case, Verdict]]:
    """What becomes of each case, in order, in this process; of one in `effects` a setting is tried for its effect."""
    os.environ.setdefault("TOKENYARD_SWEEP_LOG", "")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        for number in numbers:
            case = draw(seed, number, Path(name))
            yield case, judge(case, Path(name), effects)


def command(case: Case) -> str:
    """The command line of a case, to be typed again."""
    return shlex.join(["tokenyard", *case.arguments])


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer as the command line says; 1 where anything is a defect."""
    parser = argparse.ArgumentParser(prog="fuzz_settings", description=__doc__.split("\n\n")[1])
    parser.add_argument("--configs", type=int, default=2000, help="how many command lines (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds make equal command lines (default 0)")
    parser.add_argument("--only", type=int, help="the command line of this number alone")
    options = parser.parse_args(arguments)
    numbers = range(options.configs) if options.only is None else range(options.only, options.only + 1)
    counts: Counter[str] = Counter()
    for case, verdict in verdicts(options.seed, numbers):
        counts[verdict.outcome] += 1
        if verdict.outcome in DEFECTS:
            again = f"--seed {options.seed} --only {case.number}"
            print(f"{verdict.outcome} ({again}): {command(case)}\n    {verdict.detail}", flush=True)
        elif options.only is not None:
            print(f"{verdict.outcome}: {command(case)}\n    {verdict.detail}")
    print(f"{sum(counts.values())} configurations: " + ", ".join(f"{counts[one]} {one}" for one in OUTCOMES))
    return 1 if any(counts[one] for one in DEFECTS) else 0


if __name__ == "__main__":
    sys.exit(main())
