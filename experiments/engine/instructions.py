"""Where the engine's time goes: the bytecode instructions of one simulated request, function by function.

    tokenyard engine instructions
    tokenyard engine instructions --case synthetic_10k --requests 5000

Instructions are counted, not timed, so that the table is the same on every machine with the same Python; a bare SimPy
timeout is counted beside them. Counting is slow: a minute or so for 2,000 requests. Work inside C (heaps, dictionaries,
numpy) counts as the one instruction that calls it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import simpy

from experiments.engine.cases import AZURE, CASES, parts
from sim import simulate

ROOT = Path(__file__).parents[2]


def count(action: Callable[[], object]) -> Counter[str]:
    """Instructions that `action` executes, by file and function."""
    counts: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            counts[frame.f_code] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    named: Counter[str] = Counter()
    for code, number in counts.items():
        path = Path(code.co_filename)
        place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(*path.parts[-2:])
        named[f"{place} {code.co_qualname}"] += number
    return named


def timeouts(number: int) -> None:
    """A process that yields so many bare timeouts."""

    def process(env: simpy.Environment) -> Any:
        for _ in range(number):
            yield env.timeout(1)

    env = simpy.Environment()
    env.process(process(env))
    env.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", default="azure", choices=CASES, help="of tokenyard engine bench (default: azure)")
    parser.add_argument("--requests", type=int, default=2000, help="the first so many of it (default: 2000)")
    parser.add_argument("--rows", type=int, default=40, help="functions to print (default: 40)")
    parser.add_argument("--azure", type=Path, default=AZURE, metavar="CSV", help="Azure's conversation trace")
    settings = parser.parse_args(arguments)
    for option in ("requests", "rows"):
        if getattr(settings, option) < 1:
            parser.error(f"--{option} must be positive, got {getattr(settings, option)}")
    case = CASES[settings.case]
    if (path := case.trace(settings.azure)) and not path.is_file():
        parser.error(f"no trace at {path}: set TOKENYARD_DATA, give --azure, or take --case synthetic_10k")
    requests = case.requests(settings.azure)[: settings.requests]
    policy, cluster = parts(case)
    simulate(requests, policy, cluster, case.predictor, record=case.record)  # what is computed once is not counted
    counts = count(lambda: simulate(requests, policy, cluster, case.predictor, record=case.record))
    timeout = sum(count(lambda: timeouts(1000)).values()) / 1000
    whole = sum(counts.values())
    each = whole / len(requests)
    print(f"{settings.case}, {len(requests)} requests, Python {sys.version.split()[0]}")
    print(f"{each:.0f} instructions per request, as many as {each / timeout:.1f} bare timeouts of {timeout:.0f}\n")
    print("per request  share  function")
    for place, number in counts.most_common(settings.rows):
        print(f"{number / len(requests):11.1f} {number / whole:6.1%}  {place}")
    return 0
