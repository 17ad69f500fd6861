"""How fast the engine simulates: one JSON line per case and build.

    tokenyard engine bench
    tokenyard engine bench --cases azure,order_srpt --repeats 9
    tokenyard engine bench --builds pure,compiled        # one measurement of each in turn
    tokenyard engine bench --against OTHER/bin/python    # and of the tokenyard that another environment has

`timeouts_per_request` is the time of one simulated request in units of one bare SimPy timeout, a process that yields a
million of them. Both are measured in turn, in the same process, and the median of the ratios is taken, so that the
figure means the same on any machine, however noisy; `timeouts_spread` are the least and the largest ratio. Each case
and build has a process of its own, whose peak memory is told, with the requests in memory before the clock starts.

`build` is pure where the engine is Python, compiled where mypyc made machine code of it. The Azure cases need Azure's
public conversation trace of 2023 (--azure, or traces/azure_2023_conv.csv.gz under $TOKENYARD_DATA), those of Mooncake
its conversations (traces/mooncake_conversation.jsonl.gz there), with prefix caching and without, that of INFERCEPT its
requests (traces/infercept_multi.json.gz); the others are synthetic. The device is Llama-3.1-8B on an A100, from the
profile that ships. `tokenyard engine growth` measures and draws what a request costs as things grow.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.engine.timed import BUILDS, Build, measured, serve, timeout_seconds
from policies.batching.continuous import Continuous
from policies.batching.limited import Limited
from policies.batching.preemptive import Preemptive
from policies.decoding.bernoulli import Bernoulli
from policies.eviction.durations import Elapsed
from policies.eviction.keep import Resident
from policies.eviction.min_waste import MinWaste
from policies.eviction.recompute import Recompute
from policies.eviction.waste import Costs
from policies.order.aging import Aging
from policies.order.fifo import FIFO
from policies.order.mlfq import MLFQ
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.order.up import UP
from policies.predictor.oracle import OraclePredictor
from policies.predictor.trail import Trail
from policies.routing.least_loaded import LeastLoaded
from profiles.profile import load, scaled
from sim import Cluster, Decoding, Device, Policy, Record, Request, Truth, simulate
from sim.policy import Batching, Eviction, Order, Predictor
from traces.formats import azure, infercept
from traces.formats import mooncake as mooncake_format
from traces.requests import to_requests
from traces.sampled import Sampled

SERVICE = ServiceTime(phi=1e-4, eta=0.02)  # s per token; the orders' cost does not depend on them
TRACES = Path(os.environ.get("TOKENYARD_DATA", "../shared/data")) / "traces"
AZURE, MOONCAKE = TRACES / "azure_2023_conv.csv.gz", TRACES / "mooncake_conversation.jsonl.gz"
INFERCEPT = TRACES / "infercept_multi.json.gz"
SEED = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated: requests from `draw`, in so many `replicas`, under a policy of these parts.

    `draw` reads the trace at a path, or makes one. `prefix_caching` is the devices'.
    """

    draw: Callable[[Path], list[Request]]
    replicas: int = 1
    prefix_caching: bool = False
    order: Order = dataclasses.field(default_factory=FIFO)
    batching: Batching = dataclasses.field(default_factory=lambda: Continuous(max_num_seqs=256))
    eviction: Eviction = dataclasses.field(default_factory=Recompute)
    predictor: Predictor = dataclasses.field(default_factory=OraclePredictor)
    record: Record = Record.REQUESTS
    decoding: Decoding | None = None
    kv_tokens: int | None = None  # of each device; None: what the profile says

    def trace(self, azure: Path) -> Path | None:
        """The file that it replays, where Azure's trace is at `azure`; None if it is synthetic."""
        return {conversation: azure, mooncake: MOONCAKE, calling: INFERCEPT}.get(getattr(self.draw, "func", self.draw))

    def requests(self, azure: Path) -> list[Request]:
        """What is simulated, where Azure's trace is at `azure`."""
        return self.draw(self.trace(azure) or azure)


def conversation(path: Path, speed: float = 1.0, prompts: int = 1, outputs: int = 1) -> list[Request]:
    """Azure's conversation trace, arrivals `speed` times as fast, prompts and outputs so many times as long."""
    table = azure.load(path).copy()
    table["arrival"] /= speed
    table["prompt_tokens"] *= prompts
    table["output_tokens"] *= outputs
    return to_requests(table)


def mooncake(path: Path, requests: int) -> list[Request]:
    """The first so many of Mooncake's conversations, with an id for each 512 tokens of their prompts."""
    return to_requests(mooncake_format.load(path).head(requests))


def calling(path: Path, rate: float) -> list[Request]:
    """INFERCEPT's requests, which call out, as its benchmark draws them in half an hour at `rate` per second."""
    source = Sampled(
        str(path), infercept.load_with_last_calls, "", rate, seconds=1800.0, max_context=2048, max_tokens=2048
    )
    return to_requests(source.replay(*(np.random.default_rng(number) for number in (SEED, SEED + 1))))


def synthetic(path: Path, requests: int, rate: float) -> list[Request]:
    """Poisson arrivals of `rate` per second, or all at once; lognormal prompts (median 500), outputs (median 130)."""
    rng = np.random.default_rng(SEED)
    arrivals = np.cumsum(rng.exponential(1 / rate, requests)) if rate < math.inf else np.zeros(requests)
    prompts = np.clip(rng.lognormal(math.log(500), 1.0, requests), 1, 4000).astype(int)
    outputs = np.clip(rng.lognormal(math.log(130), 0.9, requests), 1, 1500).astype(int)
    columns = zip(arrivals.tolist(), prompts.tolist(), outputs.tolist(), strict=True)
    return [Request(number, at, prompt, Truth(output)) for number, (at, prompt, output) in enumerate(columns)]


# The speeds bring the mean batch of each Azure case to about 36.
TRACE = functools.partial(conversation, speed=1.1)
BURST = functools.partial(synthetic, requests=100_000, rate=math.inf)
SEATS = 32  # at the speed of which some wait, and all are served
SEATED = functools.partial(Case, functools.partial(conversation, speed=0.8), eviction=Resident())
MOONCAKES = functools.partial(Case, functools.partial(mooncake, requests=3000), replicas=8)  # which wait little
TRAIL = Trail(10, 512.0, 46.07, -4.6, 33.9, every=8, correlation=0.0, seed=SEED, seconds=4e-3)  # predictor/trail.yaml
DRAFT = scaled("llama-3.1-8b", "a100_sxm", 0.1, "draft")
SHORT = 32_768  # tokens of KV, of which a mean batch of that speed takes three quarters
FILLED = Continuous(256, 384, watermark=0.01)  # policy/batching=infercept
WASTE = MinWaste(costs=Costs(4.08e-5, 1.692e-2, 4.0e-5, 384), duration=Elapsed())  # policy/eviction=min_waste
CASES = {
    "azure": Case(TRACE),
    "azure_ahead": Case(TRACE, batching=Continuous(max_num_seqs=256, plans_ahead=1)),
    "azure_4_replicas": Case(functools.partial(conversation, speed=4.43), replicas=4),
    "azure_outputs_doubled": Case(functools.partial(conversation, speed=0.665, outputs=2)),
    "azure_both_doubled": Case(functools.partial(conversation, speed=0.475, prompts=2, outputs=2)),
    "mooncake": MOONCAKES(),
    "mooncake_cached": MOONCAKES(prefix_caching=True),
    "order_rtlm": Case(TRACE, order=UP(SERVICE, alpha=-8.0)),
    "order_srpt": Case(TRACE, order=SRPT()),
    "few_seats": SEATED(batching=Continuous(SEATS)),
    "preemptive_srpt": SEATED(order=SRPT(), batching=Preemptive(SEATS)),
    "preemptive_mlfq": SEATED(order=MLFQ(), batching=Preemptive(SEATS)),
    "preemptive_trail": SEATED(order=SRPT(), batching=Limited(SEATS, share=0.8), predictor=TRAIL),
    "drafting": SEATED(batching=Continuous(64), decoding=Bernoulli(0.7, 3, DRAFT, SEED)),
    "short_memory": Case(functools.partial(conversation, speed=0.8), kv_tokens=SHORT),
    "infercept": Case(functools.partial(calling, rate=2.0), batching=FILLED, eviction=WASTE),
    "record_steps": Case(TRACE, record=Record.STEPS),
    "waiting_100k": Case(BURST),
    "waiting_100k_sjf": Case(BURST, order=SJF(SERVICE)),
    "waiting_100k_srpt": Case(BURST, order=SRPT(), batching=Preemptive(256), eviction=Resident()),
    "waiting_100k_mlfq": Case(BURST, order=MLFQ(), batching=Preemptive(256), eviction=Resident()),
    "waiting_100k_aging": Case(BURST, order=Aging()),
    "waiting_300_aging": Case(functools.partial(BURST, requests=300), order=Aging()),
    "waiting_10k_aging": Case(functools.partial(BURST, requests=10_000), order=Aging()),
    "synthetic_10k": Case(functools.partial(synthetic, requests=10_000, rate=6.5)),
    "synthetic_1m": Case(functools.partial(synthetic, requests=1_000_000, rate=6.5)),
}


def parts(case: Case) -> tuple[Policy, Cluster]:
    """The policy and the cluster of `case`: Llama-3.1-8B on A100s, under vLLM's batching."""
    profile = load("llama-3.1-8b", "a100_sxm")
    names = [f"gpu{number}" for number in range(case.replicas)]
    memory = case.kv_tokens or profile.kv_capacity_tokens, profile.max_model_len
    make = functools.partial(Device, prefix_caching=case.prefix_caching, decoding=case.decoding)
    devices = [make(name, "gpu", profile, *memory) for name in names]
    return Policy(case.order, case.batching, LeastLoaded(), case.eviction), Cluster(tuple(devices))


def measuring(case: Case, azure: Path) -> Callable[[], dict[str, Any]]:
    """What measures `case` once, in this process; its requests are there."""
    requests = case.requests(azure)
    policy, cluster = parts(case)
    tokens = sum(request.truth.output_tokens for request in requests)

    def once() -> dict[str, Any]:
        timeout = timeout_seconds()
        start = time.perf_counter()
        iterations = simulate(requests, policy, cluster, case.predictor, record=case.record).iterations
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
            print(f"left out: {name}: no trace at {trace}: set TOKENYARD_DATA, or --azure for Azure's", file=sys.stderr)
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
