"""Replay workloads whose every scheduling decision a real vLLM took, and compare the engine's own, one by one.

    tokenyard engine golden tests/golden
    tokenyard engine golden one.json.gz another.json.gz

A workload is a json (gzipped) with vLLM's config, the requests, and for each iteration its start, the tokens scheduled
per request and the requests preempted. It matches if every iteration's tokens (and their order), preemptions and start
(to 1e-6 s), and every request's first token and finish, are equal. Exits 1 unless all workloads match.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

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

Iteration = tuple[float, dict[str, int], list[str]]  # start (s), tokens scheduled per request, requests preempted


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


def replay(workload: dict[str, Any], leap: bool = True) -> tuple[list[Iteration], dict[str, tuple[float, float]]]:
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
        unservable="fail",
    )
    names = [str(row["id"]) for row in _by_arrival(workload)]
    iterations = [
        (one.decided, {names[job]: tokens for job, tokens in one.granted}, sorted(names[job] for job in one.preempted))
        for one in tables.decisions
    ]
    instants = zip(tables.requests["first_token"].tolist(), tables.requests["finished"].tolist(), strict=True)
    return iterations, dict(zip(names, instants, strict=True))


def _by_arrival(workload: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(workload["requests"], key=lambda row: row["arrival"])


def _request(number: int, row: dict[str, Any]) -> Request:
    ids = tuple(row.get("prompt_token_ids") or ())
    tokens = row["output_tokens"]
    return Request(
        id=number,
        arrival=row["arrival"],
        prompt_tokens=len(ids) or row["prompt_tokens"],
        truth=Truth(tokens, (OUTPUT_ID,) * tokens if ids else ()),
        priority=row["priority"],
        prompt_ids=ids,
    )


def compare(workload: dict[str, Any], name: str) -> Comparison:
    """Replay `workload` and set its decisions beside those of the reference."""
    ours, instants = replay(workload)
    theirs = [(start, granted, sorted(map(str, preempted))) for start, granted, preempted in workload["iterations"]]
    matched = 0
    difference = None
    for number, (own, other) in enumerate(zip_longest(ours, theirs)):
        wrong = _difference(own, other)
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


def _difference(own: Iteration | None, other: Iteration | None) -> str | None:
    """What differs between two iterations, in words."""
    if own is None or other is None:
        return f"{'vLLM' if own is None else 'tokenyard'} alone has it: {own or other}"
    if list(own[1].items()) != list(other[1].items()):
        return f"scheduled tokens {own[1]}, vLLM's {other[1]}"
    if own[2] != other[2]:
        return f"preempted {own[2]}, vLLM {other[2]}"
    if abs(own[0] - other[0]) > TOLERANCE:
        return f"starts at {own[0]} s, vLLM's at {other[0]} s"
    return None


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


def read(path: Path) -> dict[str, Any]:
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
