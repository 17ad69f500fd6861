"""How fast the engine simulates: one JSON line per case and build.

    tokenyard engine bench
    tokenyard engine bench --cases azure,order_srpt --repeats 9
    tokenyard engine bench --builds pure,compiled        # one measurement of each in turn
    tokenyard engine bench --against OTHER/bin/python    # and of the tokenyard that another environment has

`timeouts_per_request` is the time of one simulated request in units of one bare SimPy timeout, a process that yields a
million of them. Both are measured in turn, in the same process, and the median of the ratios is taken, so that it hangs
little on how busy a machine is; another processor may change it by a third. `timeouts_spread` are the least and the
largest ratio. Each case and build has a process of its own, whose peak memory is told, with the requests in memory
before the clock starts.

`build` is pure where the engine is Python, compiled where mypyc made machine code of it. The Azure cases need Azure's
public conversation trace of 2023 (--azure, or traces/azure_2023_conv.csv.gz under $TOKENYARD_DATA), those of Mooncake
its conversations (traces/mooncake_conversation.jsonl.gz there), with prefix caching and without, that of INFERCEPT its
requests (traces/infercept_multi.json.gz); the others are synthetic. The device is Llama-3.1-8B on an A100, from the
profile that ships. `tokenyard engine growth` measures and draws what a request costs as things grow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.engine.cases import AZURE, CASES, SEED, Case, parts
from experiments.engine.timed import BUILDS, Build, measured, serve, timeout_seconds
from sim import simulate


def measuring(case: Case, azure: Path) -> Callable[[], dict[str, Any]]:
    """What measures `case` once, in this process; its requests are there."""
    requests = case.requests(azure)
    policy, cluster = parts(case)
    tokens = sum(request.truth.output_tokens for request in requests)

    def once() -> dict[str, Any]:
        timeout = timeout_seconds()
        start = time.perf_counter()
        iterations = simulate(requests, policy, cluster, case.predictor, record=case.record, leap=case.leap).iterations
        seconds = time.perf_counter() - start
        return {
            "requests": len(requests),
            "iterations": iterations,
            "mean_batch": round(tokens / iterations, 1),
            "seconds": seconds,
            "timeouts": seconds / len(requests) / timeout,
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }

    return once


def serve_lines() -> None:
    """Measure what a `Worker` asks for."""
    serve(lambda name, azure: measuring(CASES[name], Path(azure)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the lines of each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    return run(__name__, CASES, parser, arguments)[0]


def run(
    module: str, cases: Mapping[str, Case], parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[int, argparse.Namespace, list[dict[str, Any]]]:
    """Print the lines of the cases, which `module` serves, that `arguments` name; the exit code, and what there was."""
    parser.add_argument("--cases", help=f"comma-separated (default: all: {', '.join(cases)})")
    parser.add_argument("--repeats", type=int, default=5, help="measurements per case and build (default: 5)")
    parser.add_argument("--azure", type=Path, default=AZURE, metavar="CSV", help="Azure's conversation trace")
    parser.add_argument("--builds", help="pure, compiled or both, comma-separated (default: the one that is imported)")
    parser.add_argument("--against", metavar="PYTHON", help="of an environment, to measure what it has in turn")
    settings = parser.parse_args(arguments)
    names = settings.cases.split(",") if settings.cases else [*cases]
    if unknown := [name for name in names if name not in cases]:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(cases)}")
    if settings.repeats < 1:
        parser.error(f"--repeats must be positive, got {settings.repeats}")
    wanted = settings.builds.split(",") if settings.builds else []
    if unknown := [build for build in wanted if build not in BUILDS]:
        parser.error(f"no build {unknown[0]!r} for --builds; there are {', '.join(BUILDS)}")
    builds = {build: BUILDS[build] for build in wanted} or {"": Build(sys.executable, {})}
    if settings.against:
        builds[settings.against] = Build(settings.against, {})
    shape = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{shape}; synthetic cases draw lognormal lengths, seed {SEED}", file=sys.stderr)
    found: list[dict[str, Any]] = []
    missing = 0
    for name in names:
        if (trace := cases[name].trace(settings.azure)) and not trace.is_file():
            how = f"tokenyard trace fetch {trace.name.partition('.')[0]} --to FOLDER, then TOKENYARD_DATA=FOLDER"
            print(f"left out: {name}: no trace at {trace}: {how}", file=sys.stderr)
            missing += 1
            continue
        try:
            lines = measured(module, name, settings.azure, settings.repeats, builds)
        except (ValueError, OSError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2, settings, found
        for line in lines:
            print(json.dumps(line), flush=True)
        found += lines
    return (1 if missing else 0), settings, found
