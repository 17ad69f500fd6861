"""How long a plan of the engine stands: steps per plan, policy beside policy.

The cases are those of `tokenyard engine bench`.

    tokenyard engine plans
    tokenyard engine plans --cases azure,preemptive_srpt --requests 2000

The figures are counts, the same on every machine. A policy whose ranks stand leaps as far as FIFO does but for the
exchanges that it makes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from experiments.engine.cases import AZURE, CASES, Case, parts
from sim import simulate

FEW_SEATS = "few_seats,preemptive_srpt,preemptive_mlfq,preemptive_trail"
PLAN_IS_OVER = "Replica._commit"
COLUMNS = "{:22} {:>9} {:>11} {:>9} {:>9} {:>14}"


def calls(action: Callable[[], object], function: str) -> int:
    """How often `action` calls a Python `function`, by its qualified name."""
    found = 0

    def hook(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        found += event == "call" and frame.f_code.co_qualname == function

    before = sys.getprofile()
    sys.setprofile(hook)
    try:
        action()
    finally:
        sys.setprofile(before)
    return found


def counted(case: Case, azure: Path, requests: int | None) -> tuple[int, int, int, int]:
    """The requests of `case`, the first so many or all, its steps, its plans, and how often a job had to stop."""
    drawn = case.requests(azure)[:requests]
    policy, cluster = parts(case)
    tables = []
    plans = calls(lambda: tables.append(simulate(drawn, policy, cluster, case.predictor)), PLAN_IS_OVER)
    return len(drawn), tables[0].iterations, plans, int(tables[0].requests["preemptions"].sum())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=FEW_SEATS, help=f"comma-separated (default: {FEW_SEATS})")
    parser.add_argument("--requests", type=int, help="the first so many of each case (default: all)")
    parser.add_argument("--azure", type=Path, default=AZURE, metavar="CSV", help="Azure's conversation trace")
    settings = parser.parse_args(arguments)
    names = settings.cases.split(",")
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    if settings.requests is not None and settings.requests < 1:
        parser.error(f"--requests must be positive, got {settings.requests}")
    for path in filter(None, [CASES[name].trace(settings.azure) for name in names]):
        if not path.is_file():
            parser.error(f"no trace at {path}: set TOKENYARD_DATA, give --azure, or take synthetic cases")
    print(COLUMNS.format("case", "requests", "steps", "plans", "stops", "steps per plan"))
    for name in names:
        requests, steps, plans, stops = counted(CASES[name], settings.azure, settings.requests)
        print(COLUMNS.format(name, requests, steps, plans, stops, f"{steps / plans:.2f}"), flush=True)
    return 0
