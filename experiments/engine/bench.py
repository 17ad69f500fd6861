"""How fast the engine simulates: one JSON line per case.

    tokenyard engine bench
    tokenyard engine bench --cases azure,order_srpt --repeats 9
    tokenyard engine bench --azure AzureLLMInferenceTrace_conv.csv

`timeouts_per_request` is the time of one simulated request in units of one bare SimPy timeout, a process that yields a
million of them. Both are measured in turn, in the same process, and the median of the ratios is taken, so that the
figure means the same on any machine, however noisy; `timeouts_spread` are the least and the largest ratio. Each case
runs in a process of its own, whose peak memory is told, with the requests in memory before the clock starts.

The Azure cases need Azure's public conversation trace of 2023 (--azure, or traces/azure_2023_conv.csv.gz under
$TOKENYARD_DATA), those of Mooncake its conversations (traces/mooncake_conversation.jsonl.gz there), with prefix caching
and without; the others are synthetic. The device is Llama-3.1-8B on an A100, from the profile that ships.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simpy

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
from policies.order.alise import Alise
from policies.order.execution_time import ExecutionTime
from policies.order.fifo import FIFO
from policies.order.lamps import Lamps
from policies.order.ltr import LTR
from policies.order.mlfq import MLFQ
from policies.order.prefill_seconds import Tabled
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.skip_join import SkipJoin
from policies.order.skip_join_released import SkipJoinReleased
from policies.order.srpt import SRPT
from policies.order.up import UP
from policies.predictor.oracle import OraclePredictor
from policies.predictor.trail import Trail
from policies.routing.least_loaded import LeastLoaded
from policies.routing.power_of_two import PowerOfTwo
from policies.routing.prefix_affinity import PrefixAffinity
from policies.routing.round_robin import RoundRobin
from profiles.profile import load, scaled
from sim import Cluster, Decoding, Device, Pause, Policy, Record, Request, Truth, simulate
from sim.job import Job
from sim.policy import Batching, Eviction, Order, Predictor, Rank, Routing
from traces.formats import azure
from traces.formats import mooncake as mooncake_format
from traces.requests import to_requests

TIMEOUTS = 1_000_000
SERVICE = ServiceTime(phi=1e-4, eta=0.02)  # s per token; the orders' cost does not depend on them
TRACES = Path(os.environ.get("TOKENYARD_DATA", "../shared/data")) / "traces"
AZURE, MOONCAKE = TRACES / "azure_2023_conv.csv.gz", TRACES / "mooncake_conversation.jsonl.gz"
SEED = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated: requests from `draw`, in so many `replicas`, under a policy of these parts.

    `draw` reads the trace at a path, or makes one. `prefix_caching` is the devices'.
    """

    draw: Callable[[Path], list[Request]]
    replicas: int = 1
    routing: Routing = dataclasses.field(default_factory=LeastLoaded)
    prefix_caching: bool = False
    order: Order = dataclasses.field(default_factory=FIFO)
    batching: Batching = dataclasses.field(default_factory=lambda: Continuous(max_num_seqs=256))
    eviction: Eviction = dataclasses.field(default_factory=Recompute)
    predictor: Predictor = dataclasses.field(default_factory=OraclePredictor)
    record: Record = Record.REQUESTS
    decoding: Decoding | None = None
    leap: bool = True

    def trace(self, azure: Path) -> Path | None:
        """The file that it replays, where Azure's trace is at `azure`; None if it is synthetic."""
        drawn: Any = getattr(self.draw, "func", self.draw)
        return {conversation: azure, calling: azure, mooncake: MOONCAKE}.get(drawn)

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


def synthetic(path: Path, requests: int, rate: float) -> list[Request]:
    """Poisson arrivals of `rate` per second, or all at once; lognormal prompts (median 500), outputs (median 130)."""
    rng = np.random.default_rng(SEED)
    arrivals = np.cumsum(rng.exponential(1 / rate, requests)) if rate < math.inf else np.zeros(requests)
    prompts = np.clip(rng.lognormal(math.log(500), 1.0, requests), 1, 4000).astype(int)
    outputs = np.clip(rng.lognormal(math.log(130), 0.9, requests), 1, 1500).astype(int)
    columns = zip(arrivals.tolist(), prompts.tolist(), outputs.tolist(), strict=True)
    return [Request(number, at, prompt, Truth(output)) for number, (at, prompt, output) in enumerate(columns)]


def calling(path: Path, speed: float) -> list[Request]:
    """Azure's conversation trace, so many times as fast, where every other request calls out for 2 s."""
    requests = conversation(path, speed)
    for number, one in enumerate(requests):
        if number % 2 and (tokens := one.truth.output_tokens) > 1:
            requests[number] = dataclasses.replace(one, truth=Truth(tokens, pauses=(Pause(tokens // 2, 2.0, 10),)))
    return requests


@dataclass(frozen=True, slots=True)
class Anew(Order):
    """The shortest predicted rest first, as an order that does not say for how long its ranks stand."""

    def rank(self, job: Job, now: float) -> Rank:
        """Tokens that are predicted to be left."""
        return job.remaining


# The speeds bring the mean batch of each Azure case to about 36.
TRACE = functools.partial(conversation, speed=1.1)
BURST = functools.partial(synthetic, requests=100_000, rate=math.inf)
SEATS = 32  # at the speed of which some wait, and all are served
SEATED = functools.partial(Case, functools.partial(conversation, speed=0.8), eviction=Resident())
MOONCAKES = functools.partial(Case, functools.partial(mooncake, requests=3000), replicas=8)  # which wait little
TRAIL = Trail(10, 512.0, 46.07, -4.6, 33.9, every=8, correlation=0.0, seed=SEED, seconds=4e-3)  # predictor/trail.yaml
DRAFT = scaled("llama-3.1-8b", "a100_sxm", 0.1, "draft")
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
    "record_steps": Case(TRACE, record=Record.STEPS),
    "waiting_100k": Case(BURST),
    "waiting_100k_sjf": Case(BURST, order=SJF(SERVICE)),
    "waiting_300_aging": Case(functools.partial(BURST, requests=300), order=Aging()),
    "waiting_10k_aging": Case(functools.partial(BURST, requests=10_000), order=Aging()),
    "synthetic_10k": Case(functools.partial(synthetic, requests=10_000, rate=6.5)),
    "synthetic_1m": Case(functools.partial(synthetic, requests=1_000_000, rate=6.5)),
}

# What grows with replicas, with those that wait, and what is asked at each step.
ROUTINGS: dict[str, Routing] = {
    "least": LeastLoaded(), "robin": RoundRobin(), "two": PowerOfTwo(SEED), "prefix": PrefixAffinity(),
}  # fmt: skip
PREFILLS = Tabled((1, 4096), (0.02, 0.4))
MOVING: dict[str, Order] = {
    "mlfq": MLFQ(), "skip_join": SkipJoin(0.01, 2.0, 40, 0.3, prefill=PREFILLS), "ltr": LTR(200), "lamps": Lamps(),
    "skip_join_released": SkipJoinReleased(PREFILLS), "alise": Alise(ExecutionTime(1e-4, 1e-7, 0.02)),
}  # fmt: skip
MIN_WASTE = MinWaste(
    costs=Costs(token_seconds=4.1e-5, step_seconds=0.017, swap_token_seconds=4e-5, budget=384), duration=Elapsed()
)
CASES |= {
    f"replicas_{replicas}_{name}": Case(
        functools.partial(synthetic, requests=20_000, rate=6.5 * replicas), replicas, routing
    )
    for name, routing in ROUTINGS.items()
    for replicas in (4, 16, 64, 256)
}
CASES |= {
    f"waiting_{word}_{name}": Case(functools.partial(BURST, requests=requests), order=order)
    for name, order in MOVING.items()
    for word, requests in (("300", 300), ("10k", 10_000))
}
CASES |= {
    "step_by_step": Case(TRACE, leap=False),
    "ranked_each_step": SEATED(order=Anew(), batching=Continuous(SEATS)),
    "ranked_each_step_preemptive": SEATED(order=Anew(), batching=Preemptive(SEATS)),
    "by_rank_ltr": Case(TRACE, order=LTR(), batching=Continuous(256, phases="by_rank"), eviction=Resident()),
    "calls_infercept": Case(
        functools.partial(calling, speed=0.8), batching=Continuous(256, 384, watermark=0.01), eviction=MIN_WASTE
    ),
}


def parts(case: Case) -> tuple[Policy, Cluster]:
    """The policy and the cluster of `case`: Llama-3.1-8B on A100s, under vLLM's batching."""
    profile = load("llama-3.1-8b", "a100_sxm")
    names = [f"gpu{number}" for number in range(case.replicas)]
    memory = profile.kv_capacity_tokens, profile.max_model_len
    make = functools.partial(Device, prefix_caching=case.prefix_caching, decoding=case.decoding)
    devices = [make(name, "gpu", profile, *memory) for name in names]
    return Policy(case.order, case.batching, case.routing, case.eviction), Cluster(tuple(devices))


def timeout_seconds() -> float:
    """Seconds of one bare SimPy timeout."""

    def process(env: simpy.Environment) -> Any:
        for _ in range(TIMEOUTS):
            yield env.timeout(1)

    env = simpy.Environment()
    env.process(process(env))
    start = time.perf_counter()
    env.run()
    return (time.perf_counter() - start) / TIMEOUTS


def measure(name: str, trace: Path, repeats: int) -> dict[str, Any]:
    """The figures of a case, measured in this process."""
    case = CASES[name]
    requests = case.requests(trace)
    policy, cluster = parts(case)
    seconds, ratios = [], []
    for _ in range(repeats):
        timeout = timeout_seconds()
        start = time.perf_counter()
        iterations = simulate(requests, policy, cluster, case.predictor, record=case.record, leap=case.leap).iterations
        seconds.append(time.perf_counter() - start)
        ratios.append(seconds[-1] / len(requests) / timeout)
    middle = statistics.median(seconds)
    return {
        "case": name,
        "requests": len(requests),
        "iterations": iterations,
        "mean_batch": round(sum(request.truth.output_tokens for request in requests) / iterations, 1),
        "seconds": round(middle, 3),
        "requests_per_second": round(len(requests) / middle),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "timeouts_per_request": round(statistics.median(ratios), 1),
        "timeouts_spread": [round(min(ratios), 1), round(max(ratios), 1)],
        "repeats": repeats,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the line of each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help=f"comma-separated (default: all: {', '.join(CASES)})")
    parser.add_argument("--repeats", type=int, default=5, help="measurements per case (default: 5)")
    parser.add_argument("--azure", type=Path, default=AZURE, metavar="CSV", help="Azure's conversation trace")
    settings = parser.parse_args(arguments)
    names = settings.cases.split(",")
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    if settings.repeats < 1:
        parser.error(f"--repeats must be positive, got {settings.repeats}")
    shape = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{shape}; synthetic cases draw lognormal lengths, seed {SEED}", file=sys.stderr)
    missing = 0
    for name in names:
        if (trace := CASES[name].trace(settings.azure)) and not trace.is_file():
            print(f"left out: {name}: no trace at {trace}: set TOKENYARD_DATA, or --azure for Azure's", file=sys.stderr)
            missing += 1
            continue
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            try:
                figures = pool.apply(measure, (name, settings.azure, settings.repeats))
            except ValueError as error:
                print(f"error: {name}: {error}", file=sys.stderr)
                return 2
        print(json.dumps(figures), flush=True)
    return 1 if missing else 0
