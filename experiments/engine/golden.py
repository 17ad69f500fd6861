"""Replay workloads whose every scheduling decision a real vLLM took, and compare the engine's own, one by one.

    tokenyard engine golden tests/golden
    tokenyard engine golden one.json.gz another.json.gz

A workload is a json (gzipped) with vLLM's config, the requests, and for each iteration when it was decided and when it
began (one instant, unless `async_scheduling` of the config plans ahead), the tokens scheduled per request and the
requests preempted. It matches if every iteration's tokens (and their order), preemptions and instants (to 1e-6 s), and
every request's first token and finish, are equal. Exits 1 unless all workloads match.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from policies.batching.continuous import Continuous
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.order.priority import Priority
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Line, Policy, Record, Request, Step, Truth, simulate
from sim.policy import Order

TOLERANCE = 1e-6  # s
OUTPUT_ID = 7  # the id of every token that the reference generates
ORDERS: dict[str, Order] = {"fcfs": FIFO(), "priority": Priority()}

Workload = dict[str, Any]


class Iteration(NamedTuple):
    """Who was scheduled: instants in s, tokens in the order scheduled; `start` is None if nobody was."""

    decided: float
    start: float | None
    granted: dict[str, int]
    preempted: list[str]


@dataclass(frozen=True, slots=True)
class IterationTime:
    """A profile under which a step takes `fixed` seconds and `per_token` seconds for each token of it."""

    fixed: float
    per_token: float
    uneven: ClassVar[bool] = False

    def step_time(self, step: Step) -> float:
        """Seconds of `step`."""
        return self.fixed + self.per_token * (step.prefill_tokens + step.decode_jobs)

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """The same for every context."""
        return Line(self.fixed + self.per_token * jobs, 0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many of a workload's `iterations` are equal, and what the first `difference` is, if there is one."""

    name: str
    iterations: int
    matched: int
    difference: str | None


def replay(workload: Workload, leap: bool = True) -> tuple[list[Iteration], dict[str, tuple[float, float]]]:
    """What the engine does on `workload`: its iterations, and when each request's first and last token came (s)."""
    config, seconds = workload["config"], workload["iteration_seconds"]
    device = Device(
        name="gpu",
        kind="gpu",
        profile=IterationTime(seconds["fixed"], seconds["per_scheduled_token"]),
        kv_tokens=(config["num_blocks"] - 1) * config["block_size"],  # one is vLLM's reserved null block
        max_model_len=config["max_model_len"],
        block_size=config["block_size"],
        prefix_caching=config["enable_prefix_caching"],
    )
    batching = Continuous(
        max_num_seqs=config["max_num_seqs"],
        max_num_batched_tokens=config["max_num_batched_tokens"],
        chunked_prefill=config["enable_chunked_prefill"],
        long_prefill_token_threshold=config["long_prefill_token_threshold"],
        plans_ahead=int(config.get("async_scheduling", False)),
    )
    policy = Policy(ORDERS[config["policy"]], batching, LeastLoaded(), Recompute())
    requests = [_request(number, row) for number, row in enumerate(_by_arrival(workload))]
    tables = simulate(
        requests,
        policy,
        Cluster((device,)),
        OraclePredictor(),
        record=Record.DECISIONS,
        leap=leap,
        walk=not leap,
        unservable="fail",
    )
    names = [str(row["id"]) for row in _by_arrival(workload)]
    iterations = [
        Iteration(
            one.decided,
            None if math.isnan(one.start) else one.start,
            {names[job]: tokens for job, tokens in one.granted},
            sorted(names[job] for job in one.preempted),
        )
        for one in tables.decisions
    ]
    instants = zip(tables.requests["first_token"].tolist(), tables.requests["finished"].tolist(), strict=True)
    return iterations, dict(zip(names, instants, strict=True))


def iterations_of(workload: Workload) -> list[Iteration]:
    """Those stored: [decided, start, tokens, preempted], or without `decided` if they were decided at their start."""
    rows = ((row[0], *row) if len(row) == 3 else row for row in workload["iterations"])
    return [Iteration(decided, start, granted, sorted(map(str, out))) for decided, start, granted, out in rows]


def _by_arrival(workload: Workload) -> list[dict[str, Any]]:
    return sorted(workload["requests"], key=lambda row: row["arrival"])


def _request(number: int, row: dict[str, Any]) -> Request:
    ids = tuple(row.get("prompt_token_ids") or ())
    tokens = row["output_tokens"]
    return Request(
        id=number,
        arrival=row["arrival"],
        prompt_tokens=len(ids) or row["prompt_tokens"],
        truth=Truth(tokens, (OUTPUT_ID,) * tokens if ids else ()),
        max_tokens=row.get("max_tokens", tokens),
        priority=row["priority"],
        prompt_ids=ids,
    )


def compare(workload: Workload, name: str) -> Comparison:
    """Replay `workload` and set its decisions beside those of the reference."""
    ours, instants = replay(workload)
    theirs = iterations_of(workload)
    matched = 0
    difference = None
    for number, (own, other) in enumerate(zip_longest(ours, theirs)):
        wrong = difference_of(own, other)
        matched += wrong is None
        if wrong and difference is None:
            difference = f"iteration {number}: {wrong}"
    for request, (first_token, finished) in instants.items():
        if difference is None:
            for what, own_instant in (("first_token", first_token), ("finish", finished)):
                other_instant = workload[what][request]
                if abs(own_instant - other_instant) > TOLERANCE:
                    difference = f"request {request}: {what} at {own_instant} s, vLLM's at {other_instant} s"
    return Comparison(name, len(theirs), matched, difference)


def difference_of(own: Iteration | None, other: Iteration | None) -> str | None:
    """What differs between two iterations, in words."""
    if own is None or other is None:
        return f"{'vLLM' if own is None else 'tokenyard'} alone has it: {own or other}"
    if list(own.granted.items()) != list(other.granted.items()):
        return f"scheduled tokens {own.granted}, vLLM's {other.granted}"
    if own.preempted != other.preempted:
        return f"preempted {own.preempted}, vLLM {other.preempted}"
    if abs(own.decided - other.decided) > TOLERANCE:
        return f"decided at {own.decided} s, vLLM's at {other.decided} s"
    if own.granted and not _near(own.start, other.start):
        return f"starts at {own.start} s, vLLM's at {other.start} s"
    return None


def _near(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= TOLERANCE


def report(comparisons: Sequence[Comparison]) -> int:
    """Print the sum of `comparisons`; the exit status."""
    whole = sum(one.difference is None for one in comparisons)
    matched, iterations = (sum(getattr(one, name) for one in comparisons) for name in ("matched", "iterations"))
    print(f"matched {whole} of {len(comparisons)} workloads, {matched} of {iterations} iterations")
    for one in comparisons:
        if one.difference:
            print(f"first difference: {one.name}, {one.difference}")
            break
    return 0 if whole == len(comparisons) else 1


def line(comparison: Comparison) -> str:
    """A workload's line."""
    state = "matched" if comparison.difference is None else "DIFFERS"
    return f"{state}  {comparison.name:<24} {comparison.matched:>6} of {comparison.iterations:>6} iterations"


def read(path: Path) -> Workload:
    """A workload's json; ValueError names the file."""
    try:
        workload = json.loads(gzip.decompress(path.read_bytes()))
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a gzipped json: {error}") from error
    wanted = {"config", "iteration_seconds", "requests", "iterations", "first_token", "finish"}
    if not isinstance(workload, dict) or wanted - workload.keys():
        raise ValueError(f"{path}: not a workload: it needs {', '.join(sorted(wanted))}")
    return workload


def files(paths: Sequence[str]) -> list[Path]:
    """The workloads under `paths`, files or folders; ValueError names a path with none."""
    found: list[Path] = []
    for path in map(Path, paths):
        here = sorted(path.rglob("*.json.gz")) if path.is_dir() else [path]
        if not here or not here[0].is_file():
            raise ValueError(f"{path}: no workload here (*.json.gz)")
        found += here
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare each workload under the paths given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a *.json.gz, or a folder that holds some")
    try:
        comparisons = []
        for path in files(parser.parse_args(arguments).paths):
            try:
                comparisons.append(compare(read(path), path.name))
            except KeyError as missing:
                raise ValueError(f"{path}: not a whole workload: {missing} is missing") from missing
            print(line(comparisons[-1]), flush=True)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return report(comparisons)
