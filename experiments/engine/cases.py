"""What `tokenyard engine bench` and its kin measure: requests, a cluster and a policy, by name."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from sim import Cluster, Decoding, Device, Policy, Record, Request, Truth
from sim.job import Job
from sim.policy import Batching, Eviction, Order, Predictor, Rank, Routing
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
    routing: Routing = dataclasses.field(default_factory=LeastLoaded)
    prefix_caching: bool = False
    order: Order = dataclasses.field(default_factory=FIFO)
    batching: Batching = dataclasses.field(default_factory=lambda: Continuous(max_num_seqs=256))
    eviction: Eviction = dataclasses.field(default_factory=Recompute)
    predictor: Predictor = dataclasses.field(default_factory=OraclePredictor)
    record: Record = Record.REQUESTS
    decoding: Decoding | None = None
    kv_tokens: int | None = None  # of each device; None: what the profile says
    leap: bool = True

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
    "infercept_36": Case(functools.partial(calling, rate=5.15), batching=FILLED, eviction=WASTE),  # the mean batch
    "record_steps": Case(TRACE, record=Record.STEPS),
    "waiting_100k": Case(BURST),
    "waiting_100k_sjf": Case(BURST, order=SJF(SERVICE)),
    "waiting_100k_srpt": Case(BURST, order=SRPT(), batching=Preemptive(256), eviction=Resident()),
    "waiting_100k_mlfq": Case(BURST, order=MLFQ(patience=math.inf), batching=Preemptive(256), eviction=Resident()),
    "waiting_100k_aging": Case(BURST, order=Aging()),
    "waiting_300_aging": Case(functools.partial(BURST, requests=300), order=Aging()),
    "waiting_10k_aging": Case(functools.partial(BURST, requests=10_000), order=Aging()),
    "synthetic_10k": Case(functools.partial(synthetic, requests=10_000, rate=6.5)),
    "synthetic_1m": Case(functools.partial(synthetic, requests=1_000_000, rate=6.5)),
}

# What grows with replicas, with those that wait, and what is asked at each step.
ROUTINGS: dict[str, Routing] = {
    "least": LeastLoaded(),
    "robin": RoundRobin(),
    "two": PowerOfTwo(SEED),
    "prefix": PrefixAffinity(),
}
PREFILLS = Tabled((1, 4096), (0.02, 0.4))
MOVING = {
    "mlfq": MLFQ(), "skip_join": SkipJoin(0.01, 2.0, 40, 0.3, prefill=PREFILLS), "ltr": LTR(200), "lamps": Lamps(),
    "skip_join_released": SkipJoinReleased(PREFILLS), "alise": Alise(ExecutionTime(1e-4, 1e-7, 0.02)),
}  # fmt: skip
CASES |= {  # with so many requests for each that they fill up and empty in a small part of the time
    f"replicas_{replicas}_{name}": Case(
        functools.partial(synthetic, requests=max(20_000, 400 * replicas), rate=6.5 * replicas), replicas, routing
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
}


def parts(case: Case) -> tuple[Policy, Cluster]:
    """The policy and the cluster of `case`: Llama-3.1-8B on A100s, under vLLM's batching."""
    profile = load("llama-3.1-8b", "a100_sxm")
    names = [f"gpu{number}" for number in range(case.replicas)]
    memory = case.kv_tokens or profile.kv_capacity_tokens, profile.max_model_len
    make = functools.partial(Device, prefix_caching=case.prefix_caching, decoding=case.decoding)
    devices = [make(name, "gpu", profile, *memory) for name in names]
    return Policy(case.order, case.batching, case.routing, case.eviction), Cluster(tuple(devices))
