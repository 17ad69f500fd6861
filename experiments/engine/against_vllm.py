"""Ask the vLLM that is installed: its own schedulers decide on random workloads, and the engine has to decide the same.

    tokenyard engine against-vllm
    tokenyard engine against-vllm --scheduler async --workloads 500 --kinds memory,prefix --seed 7 --save differing

vLLM's v1 `Scheduler` and `AsyncScheduler`, which plans a batch ahead, are driven in virtual time, without a model:
requests enter in order of arrival before each decision, a batch lasts fixed + per_token * tokens, every answer is of
the length set. In half of the asynchronous workloads max_tokens lies above that length, and answers end by a stop
token, which no scheduler can foresee. What vLLM did is then replayed as `tokenyard engine golden` replays a stored
workload, and matches by the same rules. The kinds:

    plain        many requests, few places, a small budget of tokens
    memory       answers that outgrow the KV cache, so that jobs are preempted
    priority     the same, under vLLM's priority policy
    prefix       prompts that begin alike, or go on from an earlier answer, with prefix caching
    longprefill  several long prompts at once, under long_prefill_token_threshold
    unchunked    no chunked prefill

Exits 1 unless all workloads match, 2 if vLLM is not installed: docs/engine.md says how to.
"""

from __future__ import annotations

import argparse
import gzip
import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.engine.golden import Comparison, Workload, compare, line, report
from experiments.engine.vllm_driver import FOLLOWED, Missing, drive, ends_by_stop, installed
from experiments.engine.workloads import KINDS, generate

SCHEDULERS = {"sync": (False,), "async": (True,), "both": (False, True)}  # whether it plans ahead


def judge(workload: Workload, name: str) -> Comparison:
    """Compare the engine with what vLLM did on `workload`; an engine that fails differs."""
    try:
        return compare(workload, name)
    except Exception as error:  # whatever it is, the other workloads are worth a look too
        return Comparison(name, len(workload["iterations"]), 0, f"tokenyard fails: {type(error).__name__}: {error}")


@dataclass
class Tally:
    """What the workloads of one scheduler had in them."""

    comparisons: list[Comparison] = field(default_factory=list)
    preempting: int = 0  # workloads in which vLLM preempted
    stopped: int = 0  # workloads in which answers ended by a stop token
    answers: int = 0  # those answers

    def add(self, workload: Workload, comparison: Comparison) -> None:
        """Count `workload`, which vLLM has decided on."""
        stopped = sum(map(ends_by_stop, workload["requests"]))
        self.comparisons.append(comparison)
        self.preempting += any(iteration.preempted for iteration in workload["iterations"])
        self.stopped += stopped > 0
        self.answers += stopped

    def told(self, ahead: bool) -> str:
        """A line of the report."""
        count = len(self.comparisons)
        matched = sum(one.difference is None for one in self.comparisons)
        line = f"{'asynchronous' if ahead else 'synchronous'} scheduler: matched {matched} of {count} workloads; vLLM "
        line += f"preempted in {self.preempting}"
        return f"{line}, {self.answers} answers in {self.stopped} ended by a stop token" if ahead else line


def draw(options: argparse.Namespace, seed: int) -> Iterator[tuple[bool, str, list[int], Workload]]:
    """The workloads: for the scheduler that plans ahead or not, by what name, from what seed, and what is in it."""
    count = len(options.kinds)
    for number in range(options.workloads):
        kind = options.kinds[number % count]
        for ahead in SCHEDULERS[options.scheduler]:
            stops = ahead and (number // count + number % count) % 2 == 1
            own = [seed, number, *([1] if ahead else [])]
            name = f"{'async-' if ahead else ''}{'eos-' if stops else ''}{kind}-{number}"
            yield ahead, name, own, generate(kind, np.random.default_rng(own), ahead, stops)


def save(workload: Workload, path: Path) -> None:
    """Write `workload` where `tokenyard engine golden` can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(workload).encode(), mtime=0))


def kinds(text: str) -> list[str]:
    """Kinds out of `text`, separated by commas."""
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"no kind {name!r}: there are {', '.join(KINDS)}")
    return chosen


def whole(least: int) -> Any:
    """A type for argparse: a whole number, `least` or more."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {least} or more")
        return int(text)

    return parse


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", choices=SCHEDULERS, default="both", help="which of vLLM's (default: both)")
    parser.add_argument("--workloads", type=whole(1), default=200, metavar="N", help="how many of each (default: 200)")
    parser.add_argument("--seed", type=whole(0), metavar="S", help="repeat a run by the seed it printed")
    parser.add_argument("--kinds", type=kinds, default=list(KINDS), metavar="KIND,...", help="in turn (default: all)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write each workload that differs to DIR/*.json.gz")
    parser.add_argument("--save-all", action="store_true", help="write the others there too")
    parsed = parser.parse_args(arguments)
    if parsed.save_all and parsed.save is None:
        parser.error("--save-all needs --save DIR")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the engine with vLLM on so many random workloads."""
    options = arguments_of(arguments)
    try:
        version = installed()
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seed = secrets.randbits(32) if options.seed is None else options.seed
    again = f"--seed {seed} --scheduler {options.scheduler} --kinds {','.join(options.kinds)}"
    which = "each scheduler" if options.scheduler == "both" else f"the {options.scheduler} scheduler"
    print(f"vLLM {version}, {options.workloads} workloads of {which}, {again}", flush=True)
    if version.partition("+")[0] != FOLLOWED:
        print(f"warning: tokenyard follows vLLM {FOLLOWED}, another may decide otherwise", file=sys.stderr)
    tallies = {ahead: Tally() for ahead in SCHEDULERS[options.scheduler]}
    # tqdm shows a bar on a terminal alone
    total = options.workloads * len(tallies)
    drawn = tqdm(draw(options, seed), total=total, unit="workload", dynamic_ncols=True, leave=False, disable=None)
    for ahead, name, of, given in drawn:
        workload = drive(given)
        comparison = judge(workload, name)
        tallies[ahead].add(workload, comparison)
        tqdm.write(line(comparison), file=sys.stdout)
        if options.save and (options.save_all or comparison.difference):
            engine = f"vllm {version} v1 {'AsyncScheduler' if ahead else 'Scheduler'}"
            save({"engine": engine, "seed": of, **workload}, options.save / f"{seed}-{name}.json.gz")
    for ahead, tally in tallies.items():
        print(tally.told(ahead))
    return report([comparison for tally in tallies.values() for comparison in tally.comparisons])
