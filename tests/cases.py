"""Random cases for property tests: workloads x policies x memory x profiles x predictors x clusters."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import ClassVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from policies.batching.consolidation import Consolidation
from policies.batching.continuous import Continuous
from policies.batching.guarded import Guarded
from policies.batching.limited import Limited
from policies.batching.preemptive import Preemptive
from policies.batching.static import Static
from policies.batching.trail import Trail
from policies.batching.until_shortest import UntilShortest
from policies.eviction.keep import Resident
from policies.eviction.keep_then_swap import KeepThenSwap
from policies.eviction.recompute import Recompute
from policies.eviction.swap import Swap
from policies.order.a_min import AMin
from policies.order.aging import Aging
from policies.order.boost import Boost
from policies.order.fifo import FIFO
from policies.order.gittins import Gittins
from policies.order.hpf import HPF
from policies.order.least_attained import LeastAttained
from policies.order.ltr import LTR
from policies.order.luf import LUF
from policies.order.mlfq import MLFQ
from policies.order.muf import MUF
from policies.order.perception import Perception
from policies.order.priority import Priority
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.order.tie import TIE
from policies.order.trail_released import TrailReleased
from policies.order.uniboost import UniBoost
from policies.order.up import UP
from policies.predictor.oracle import OraclePredictor
from policies.routing.disaggregation import Disaggregation
from policies.routing.least_loaded import LeastLoaded
from policies.routing.offload import Offload
from policies.routing.power_of_two import PowerOfTwo
from policies.routing.prefix_affinity import PrefixAffinity
from policies.routing.round_robin import RoundRobin
from sim import (
    Cause,
    Cluster,
    Decoding,
    Device,
    Distribution,
    HostMemory,
    IterationLevel,
    Keep,
    Leg,
    Line,
    Link,
    Overhead,
    Passes,
    Pause,
    Policy,
    Prediction,
    Record,
    Request,
    Review,
    Step,
    Tables,
    Truth,
    simulate,
)
from sim.policy import NotingOrder, Order, Predictor, Stands
from tests.conftest import LinearProfile, make_device, make_requests

MAX_TOKENS, LONGEST_PROMPT = 24, 40
RETURNED = (0, 0, 1, 6, 17)  # tokens that a call may return; of a request at most three
SERVICE = ServiceTime(phi=1e-3, eta=0.01)
LINEAR = LinearProfile(fixed=0.01, per_token=1e-3, per_context=1e-5, per_moved=1e-5)
FLAT = LinearProfile(fixed=0.01, per_token=1e-3)
EVEN = LinearProfile(fixed=0.0625, per_token=0.0)  # exact in binary: replicas and arrivals meet at one instant

EFFORT = float(os.environ.get("TOKENYARD_EFFORT", "0.1"))  # of make test; make check takes 2, make mutate 1


def examples(number: int) -> int:
    """How many examples a property is tried on that is to be tried on `number` of them."""
    return max(1, round(number * EFFORT))


stable = settings(derandomize=True, deadline=None, max_examples=examples(150), database=None)


@dataclass(frozen=True)
class Stairs:
    """A profile whose price of a context token rises with every `width` tokens of decode context."""

    width: int
    uneven: ClassVar[bool] = False

    def step_time(self, step: Step) -> float:
        line = self.decode_line(step.decode_jobs, step.decode_context)
        rest = 1e-3 * step.prefill_tokens + 1e-5 * step.moved_tokens
        return rest + (line.base + line.slope * step.decode_context)

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        stair = context // self.width
        return Line(0.01 + 1e-3 * jobs, 1e-5 * (1 + stair), (stair + 1) * self.width - 1, stair * self.width)


@dataclass(frozen=True)
class Proposing:
    """`target` for the jobs and what is proposed to them, and a time for each round."""

    target: object
    round_seconds: float = 0.0
    uneven: ClassVar[bool] = False

    def step_time(self, step: Step) -> float:
        if step.prefill_tokens or step.moved_tokens:
            checked = step._replace(decode_jobs=step.decode_jobs + step.proposed_tokens)
            return self.target.step_time(checked) + self.round_seconds * step.rounds
        line = self.decode_line(step.decode_jobs, step.decode_context, 0, step.proposed_tokens, step.rounds)
        return line.base + line.slope * step.decode_context

    def decode_line(self, jobs: int, context: int, longest: int = 0, proposed: int = 0, rounds: int = 0) -> Line:
        line = self.target.decode_line(jobs + proposed, context)
        return dataclasses.replace(line, base=line.base + self.round_seconds * rounds)


@dataclass(frozen=True)
class Hopping(Decoding):
    """Passes drawn for each place of an answer: so many tokens proposed, so many of them kept; some in vain."""

    lookahead: int
    even: bool  # as many are proposed in each
    vain: float = 0.0
    round_seconds: float = 0.0
    seed: int = 0
    divisible: bool = True

    def passes(self, request: Request, emitted: int) -> Passes:
        rng = np.random.default_rng([self.seed, request.id])
        proposed = rng.integers(0, self.lookahead + 1, request.truth.output_tokens)
        if self.even:
            proposed[:] = self.lookahead
        kept = rng.integers(1, proposed + 2)
        vain = rng.random(len(kept)) < self.vain
        passes, place = [], emitted
        while place < request.truth.output_tokens:
            if vain[place]:
                passes.append((0, int(proposed[place])))
            passes.append((int(kept[place]), int(proposed[place])))
            place += int(kept[place])
        return Passes(*zip(*passes, strict=True))

    def priced(self, target) -> Proposing:
        return Proposing(target, self.round_seconds)


@dataclass(frozen=True)
class OneByOne(Decoding):
    """Nothing is proposed, and each pass emits a token: as without a decoding."""

    lookahead: int = 0

    def passes(self, request: Request, emitted: int) -> Passes:
        left = request.truth.output_tokens - emitted
        return Passes([1] * left, [0] * left)

    def priced(self, target) -> Proposing:
        return Proposing(target)


@dataclass(frozen=True)
class InVain(OneByOne):
    """As many are proposed as there may be, for nothing, and none of them is taken."""

    lookahead: int = 3

    def passes(self, request: Request, emitted: int) -> Passes:
        left = request.truth.output_tokens - emitted
        return Passes([1] * left, [self.lookahead] * left)

    def priced(self, target) -> Free:
        return Free(target)


@dataclass(frozen=True)
class Free(Proposing):
    """Nothing that is proposed takes time."""

    def decode_line(self, jobs: int, context: int, longest: int = 0, proposed: int = 0, rounds: int = 0) -> Line:
        return self.target.decode_line(jobs, context)

    def step_time(self, step: Step) -> float:
        return self.target.step_time(step)


@dataclass(frozen=True)
class Ageing(Order):
    """An order whose ranks change with time, and are looked at every so many `steps`."""

    steps: float

    def stands(self, job, now):
        return Stands(steps=self.steps)

    def rank(self, job, now):
        return (job.prediction.length - 5.0 * (now - job.request.arrival), -job.emitted)


@dataclass(frozen=True)
class Promoting(Order):
    """Shortest first; once a job is `patience` (s) old it is before all that are not."""

    patience: float

    def rank(self, job, now):
        return (float(now < job.request.arrival + self.patience), job.prediction.length)

    def stands(self, job, now):
        old = job.request.arrival + self.patience
        return Stands(instant=old) if now < old else Stands()


@dataclass(frozen=True)
class Starving(NotingOrder):
    """Shortest first; who has waited for `patience` steps in a row goes before, until it has run for `period`."""

    patience: int
    period: int

    def note(self, job, now, steps):
        urgent, count, at = job.note or (False, 0, steps)
        count += steps - at
        if job.runs:
            return (True, count, steps) if urgent and count < self.period else (False, 0, steps)
        if not urgent and count >= self.patience:
            return (True, 0, steps)
        return (urgent, 0 if urgent else count, steps)

    def rank(self, job, now):
        return (not job.note[0], job.prediction.length)

    def stands(self, job, now):
        urgent, count, _ = job.note
        if urgent == job.runs:
            return Stands(steps=max(1, (self.period if urgent else self.patience) - count))
        return Stands()


@dataclass(frozen=True)
class Tidy(KeepThenSwap):
    """KV of waiting jobs goes to the host while less than a `share` of the blocks is free, and comes back later."""

    share: float = 0.3

    def review(self, idle, jobs, load, now):
        here = [job for job in idle if job.blocks]
        away = [job for job in idle if job.host_tokens]
        if not load.running:  # who is to be admitted now may need all the room that there is
            return Review(steps=1)
        if load.free_blocks < self.share * load.total_blocks:
            last = sorted(here, key=jobs.index)[-1:]
            return Review([(job, self.on_stop(job, Cause.PRESSURE, load, now)) for job in last], steps=1)
        fits = load.free_blocks - self.share * load.total_blocks
        return Review([(job, Keep.KEEP) for job in away[:1] if job.host_tokens <= fits], steps=1)


@dataclass(frozen=True)
class Whimsical(KeepThenSwap):
    """Does with the KV of callers now this, now that; what it foresees too, which comes true or not."""

    whim: int = 1
    patience: float = math.inf  # steps between two reviews

    def _drawn(self, job, salt, kinds):
        return kinds[(job.request.id * 31 + job.calls * 17 + job.emitted * 7 + salt) * self.whim % 101 % len(kinds)]

    def on_stop(self, job, cause, load, now):
        if cause is not Cause.PAUSE:
            return KeepThenSwap.on_stop(self, job, cause, load, now)
        keep = self._drawn(job, 3, (Keep.KEEP, Keep.SWAP, Keep.DROP))
        return Keep.DROP if keep is Keep.SWAP and job.blocks > load.free_on_host else keep

    def foresee(self, job, load, now):
        return self._drawn(job, 5, (Keep.KEEP, Keep.SWAP, Keep.DROP, None))

    def review(self, idle, jobs, load, now):
        """Moves one caller anywhere, and nobody who waits; back only while nobody does, who might need the room.

        Those might take each other's place for ever.
        """
        assert not any(one.blocks and not before.blocks for before, one in pairwise(idle))
        assert load.returning_tokens == sum(job.host_tokens for job in jobs if job.blocks)
        moves, room = [], load.free_blocks
        waits = any(not job.runs and job.paused is None for job in jobs)
        for job in idle:
            if job.paused is None:
                continue
            keep = self._drawn(job, int(now - job.paused > 0.25), (Keep.KEEP, Keep.SWAP, Keep.DROP))
            if keep is Keep.SWAP and not 0 < job.blocks <= load.free_on_host:
                continue
            if keep is Keep.KEEP and job.host_tokens:
                room -= load.blocks(job.host_tokens)
                if room < 0 or waits:
                    break
            moves.append((job, keep))
            break
        return Review(moves, steps=self.patience)


@dataclass(frozen=True)
class Misjudging(Predictor):
    """A predictor that is wrong, and not free."""

    seconds: float

    def predict(self, request):
        guess = float(request.id * 7919 % 23)
        around = Distribution.of_atoms([guess, guess / 2, guess * (1 + request.id % 3)])
        return Prediction(length=guess, uncertainty=guess, seconds=self.seconds, distribution=around)


@dataclass
class Spying:
    """To the replica with the most of the prompt in its cache, then the most free blocks; keeps all that it saw."""

    seen: list = field(default_factory=list, repr=False)

    def route(self, job, cluster):
        states = [(-view.cached_tokens(job), -view.free_blocks, view.jobs, view.submitted) for view in cluster]
        self.seen.append(states)
        return (Leg(states.index(min(states))),)


@dataclass(frozen=True)
class Unhurried:
    """To the replica to which the fewest jobs were sent of late, the last of equals."""

    seconds: float = 0.5

    def route(self, job, cluster):
        return (Leg(min(range(len(cluster))[::-1], key=lambda one: cluster[one].submitted_within(self.seconds))),)


@dataclass(frozen=True)
class Crossing:
    """On one of the first two replicas alone, on both, in either order, or twice on the first."""

    def route(self, job, cluster):
        first, *second = ((0,), (0, 1), (1,), (1, 0), (0, 0))[job.request.id % 5]
        return (Leg(first, prefill_only=bool(second)), *map(Leg, second))


@dataclass(frozen=True)
class Case:
    requests: list[Request]
    policy: Policy
    cluster: Cluster
    predictor: object

    @property
    def device(self) -> Device:
        return self.cluster.devices[0]

    def run(self, record=Record.DECISIONS, leap=True, walk=None, **changes) -> Tables:
        """Its tables; who does not leap walks, unless it is said otherwise: every job is looked at in every step."""
        how = {"leap": leap, "walk": not leap if walk is None else walk, "record": record}
        return simulate(self.requests, self.policy, self.cluster, self.predictor, **how, **changes)

    def with_batching(self, **changes) -> Case:
        batching = dataclasses.replace(self.policy.batching, **changes)
        return dataclasses.replace(self, policy=dataclasses.replace(self.policy, batching=batching))


def plain(tables: Tables) -> str:
    """Every value of the tables, exactly; equal for equal tables, NaN included."""
    columns = [(name, column.tolist()) for table in (tables.requests, tables.steps) for name, column in table.items()]
    return repr((columns, tables.decisions, tables.iterations))


static_ranks = [FIFO(), LUF(), MUF(), SJF(SERVICE), HPF(SERVICE), UP(SERVICE, 2.0), UP(SERVICE, -8.0), SRPT()]
static_ranks += [TrailReleased(0.3), Gittins(), Gittins(0.6), TIE(seats=2), Boost(0.5, SERVICE)]
# Patience so long that any prefill of a case is over before: jobs whose KV is dropped would take turns for ever.
levels = MLFQ(quantum=0.2, patience=10.0)
starving = [Starving(9, 400), Starving(60, 90), LTR(60, 90), Perception(3)]
moving = [Ageing(1.0), Ageing(3.0), Promoting(0.3), LeastAttained(1), LeastAttained(5), AMin(0.3), levels, *starving]
moving.append(UniBoost(0.5, SERVICE))
orders = st.sampled_from([*static_ranks, Priority(), Aging(), *moving])

slots = st.integers(1, 8)
watermarks = st.sampled_from([0.0, 0.1, 0.4])
longest = LONGEST_PROMPT + MAX_TOKENS + 3 * max(RETURNED)
whole_prompts = {"max_num_batched_tokens": st.just(longest), "chunked_prefill": st.just(False)}
chunked = st.builds(
    Continuous,
    max_num_seqs=slots,
    max_num_batched_tokens=st.integers(1, 12) | st.integers(8, 80),
    long_prefill_token_threshold=st.sampled_from([0, 5, 16]),
    phases=st.sampled_from(["mixed", "decode_first"]),
    reserve_output=st.booleans(),
    watermark=watermarks,
)
unchunked = st.builds(
    Continuous,
    max_num_seqs=slots,
    **whole_prompts,
    phases=st.sampled_from(["mixed", "decode_first", "exclusive"]),
    reserve_output=st.booleans(),
    watermark=watermarks,
)
continuous = chunked | unchunked
of_a_time = {"max_num_seqs": st.integers(1, 3) | slots, "reserve_output": st.booleans(), "watermark": watermarks}
tokens = {
    "max_num_batched_tokens": st.integers(1, 12) | st.integers(8, 80),
    "long_prefill_token_threshold": st.sampled_from([0, 5, 16]),
}
shares = st.sampled_from([0.0, 0.5, 1.0])
preemptive = (
    st.builds(Preemptive, for_tokens=st.booleans(), **of_a_time, **tokens)
    | st.builds(Preemptive, **of_a_time, **whole_prompts)
    | st.builds(Limited, share=shares, **of_a_time, **tokens)
    | st.builds(Trail, share=shares, most=st.sampled_from([None, 0, 1]), **of_a_time, **tokens)
)
ranked = st.builds(Continuous, phases=st.just("by_rank"), **of_a_time, **tokens) | st.builds(
    Continuous, phases=st.just("by_rank"), **of_a_time, **whole_prompts
)
one_ahead = {"plans_ahead": st.just(1)}
chunked_ahead = st.builds(Continuous, **of_a_time, **tokens, **one_ahead)
ahead = (
    chunked_ahead
    | st.builds(Continuous, **of_a_time, **whole_prompts, **one_ahead)
    | st.builds(Preemptive, for_tokens=st.booleans(), **of_a_time, **tokens, **one_ahead)
    | st.builds(Limited, share=shares, **of_a_time, **tokens, **one_ahead)
    | st.builds(Trail, share=shares, most=st.sampled_from([None, 1]), **of_a_time, **tokens, **one_ahead)
)
waits = st.sampled_from([0.0, 0.3])
together = st.builds(Static, batch_size=st.integers(1, 6), max_wait=waits) | st.builds(
    Consolidation, batch_size=st.integers(1, 6), lookahead=st.floats(1, 3), ratio=st.floats(1, 4), max_wait=waits
)
until_shortest = st.builds(UntilShortest, batch_size=st.integers(1, 6), max_wait=waits)
guarded = st.builds(
    Guarded,
    chunked | unchunked | ranked | chunked_ahead | together | until_shortest,
    st.just(SERVICE),
    longest_wait=st.sampled_from([0.05, 0.3, 2.0]),
    multiple=st.sampled_from([0.5, 3.0]),
)
stepwise = continuous | preemptive | ranked | ahead
sharing = stepwise.filter(lambda batching: not batching.reserve_output)  # what is set aside is not shared
ANY = continuous | together | preemptive | ranked | ahead | until_shortest | guarded

# 0.0625 s is a step of EVEN: calls end as steps do, and as others come
pauses = st.tuples(
    st.integers(1, MAX_TOKENS - 1),
    st.sampled_from([0.0, 0.0, 0.004, 0.0625, 0.3, 2.0]),
    st.sampled_from(RETURNED),
)
calls = st.lists(st.just(()) | st.lists(pauses, min_size=1, max_size=3), max_size=14)
gaps = st.sampled_from([0.0, 0.004, 0.05, 0.0625, 0.6])
rows = st.tuples(gaps, st.integers(1, LONGEST_PROMPT), st.integers(1, MAX_TOKENS), st.integers(0, 2))
ANSWER_ID = 7
SHARED = (tuple(range(100, 100 + LONGEST_PROMPT)), (ANSWER_ID,) * LONGEST_PROMPT)


def with_contents(request: Request, kind: int, shared: tuple[int, ...], id_tokens: int, answers: bool) -> Request:
    """`request` with a prompt that begins as `shared` does: all of it (kind 0), the first half (1) or nothing (2)."""
    ids = -(-request.prompt_tokens // id_tokens)
    own = tuple(1000 * (request.id + 1) + number for number in range(ids))
    prompt_ids = shared[: (ids, ids // 2, 0)[kind]]
    prompt_ids += own[len(prompt_ids) :]
    truth = request.truth
    if answers and id_tokens == 1:
        truth = dataclasses.replace(truth, output_ids=(ANSWER_ID,) * truth.output_tokens)
    return dataclasses.replace(request, prompt_ids=prompt_ids, id_tokens=id_tokens, truth=truth)


def with_calls(request: Request, drawn: Sequence[tuple[int, float, int]]) -> Request:
    """`request` that calls out as `drawn`: those after tokens that its answer has, one after each at most."""
    by_place = {place: Pause(place, *rest) for place, *rest in drawn if place < request.truth.output_tokens}
    pauses = tuple(by_place[place] for place in sorted(by_place))
    return dataclasses.replace(request, truth=dataclasses.replace(request.truth, pauses=pauses))


def without_calls(case: Case) -> Case:
    """`case` whose requests call nothing."""
    return dataclasses.replace(case, requests=[with_calls(one, ()) for one in case.requests])


@st.composite
def workloads(draw) -> list[Request]:
    gap, prompts, outputs, kinds = zip(*draw(st.lists(rows, min_size=1, max_size=14)), strict=True)
    requests = make_requests(np.cumsum(gap), prompts, outputs, max_tokens=MAX_TOKENS)
    requests = [dataclasses.replace(one, priority=float(one.id * 5 % 3)) for one in requests]
    if draw(st.booleans()):  # every other ends as its client's cap says
        requests[::2] = [dataclasses.replace(one, max_tokens=one.truth.output_tokens) for one in requests[::2]]
    if draw(st.booleans()):
        how = draw(st.tuples(st.sampled_from(SHARED), st.sampled_from([1, 1, 3, 16]), st.booleans()))
        requests = [with_contents(one, kind, *how) for one, kind in zip(requests, kinds, strict=True)]
    if draw(st.booleans()):
        requests = [with_calls(*pair) for pair in zip_longest(requests, draw(calls)[: len(requests)], fillvalue=())]
    return requests


hopping = st.builds(
    Hopping,
    lookahead=st.sampled_from([0, 1, 3, 6]),
    even=st.booleans(),
    vain=st.sampled_from([0.0, 0.3]),
    round_seconds=st.sampled_from([0.0, 0.0625]),
    seed=st.integers(0, 3),
    divisible=st.sampled_from([True, True, False]),
)
NEVER = st.none()
NOW_AND_THEN = st.none() | st.none() | hopping
profiles = st.sampled_from([LINEAR, FLAT, EVEN, Stairs(37), Stairs(200)])


@st.composite
def devices(draw, requests, execution, ample, caching, names, decoding) -> tuple[Device, ...]:
    """Devices that can serve each of `requests`, and seldom all of them at a time."""
    block_size = draw(st.sampled_from([1, 4, 16]))
    caching = draw(st.booleans()) if caching is None else caching
    profile = draw(profiles)
    given = [one.prompt_tokens + one.truth.returned_tokens for one in requests]
    totals = [tokens + one.truth.output_tokens for tokens, one in zip(given, requests, strict=True)]
    longest = max(map(execution.kv_tokens, totals, [tokens + MAX_TOKENS for tokens in given]))
    longest += decoding.lookahead if decoding else 0
    made, host = [], draw(hosts)
    for name, kind in names:
        blocks = -(-longest // block_size) + draw(st.integers(0, 12))
        kv_tokens = 1 << 20 if ample else blocks * block_size
        changes = {"kv_tokens": kv_tokens, "block_size": block_size, "prefix_caching": caching, "profile": profile}
        changes |= {"host": host, "decoding": decoding}
        made.append(make_device(name, kind, max_model_len=128, kv_bytes_per_token=100, **changes))
    return tuple(made)


whims = [Whimsical(whim=1, patience=1.0), Whimsical(whim=5, patience=1.0)]
evictions = st.sampled_from([Recompute(), Swap(), Resident(), Tidy(), KeepThenSwap(), *whims])
links = st.sampled_from([Link(0.0, math.inf), Link(0.0625, math.inf), Link(0.03, 1e5), Link(0.0, 3e4, "fair")])
hosts = st.builds(HostMemory, tokens=st.sampled_from([None, 16, 40])) | st.builds(
    HostMemory,
    st.sampled_from([None, 16, 40, 200]),
    links,
    st.sampled_from(["blocking", "overlapped"]),
    st.sampled_from([1.0, 0.5]),
)
TO_THE_LEAST_LOADED = (LeastLoaded(),)
charged = [Overhead(0.002), Overhead(0.002, 1e-4), Overhead(0.0, 1e-3), Overhead(0.002, 0.0, 0.01)]
overheads = st.sampled_from([Overhead(), *charged])
predictors = st.sampled_from([OraclePredictor(), Misjudging(0.0), Misjudging(0.02)])


@st.composite
def cases(
    draw,
    batchings=ANY,
    ample=False,
    caching: bool | None = None,
    routings=TO_THE_LEAST_LOADED,
    names=(("gpu", "gpu"),),
    decodings=NOW_AND_THEN,
) -> Case:
    """Cases on devices of these names and kinds, with prefix caching, without it, or (None) either."""
    requests = draw(workloads())
    batching = draw(batchings)
    takes_several = isinstance(batching.execution, IterationLevel) and not batching.execution.plans_ahead
    decoding = draw(decodings) if takes_several else None
    if decoding and not decoding.divisible and (batching.execution.max_num_batched_tokens or 99) <= decoding.lookahead:
        decoding = None
    policy = Policy(
        order=draw(orders),
        batching=batching,
        routing=draw(st.sampled_from(routings)),
        eviction=draw(evictions),
        overhead=draw(overheads),
    )
    cluster = Cluster(draw(devices(requests, batching.execution, ample, caching, names, decoding)), draw(links))
    return Case(requests, policy, cluster, draw(predictors))


THREE = (("a", "gpu"), ("b", "gpu"), ("c", "gpu"))
SEVERAL = (LeastLoaded(), RoundRobin(), PowerOfTwo(1), PrefixAffinity(0), PrefixAffinity(2), Spying())


def with_models(case: Case) -> Case:
    """`case` with a small model on the first device, whose answers are short, and a large one on the others."""
    models = ("small", "large", "large")
    devices = [dataclasses.replace(one, model=model) for one, model in zip(case.cluster.devices, models, strict=True)]
    requests = [
        dataclasses.replace(one, truth=Truth(tokens, lengths={"small": (tokens + 2) // 3}))
        for one in without_calls(case).requests
        for tokens in (one.truth.output_tokens,)
    ]
    cluster = dataclasses.replace(case.cluster, devices=tuple(devices))
    return dataclasses.replace(case, requests=requests, cluster=cluster)


def on_several(batchings=ANY, caching: bool | None = None, decodings=NOW_AND_THEN):
    """Cases on several replicas: three of a kind, one of two kinds each, and two kinds of legs."""
    of_two_kinds = (("a", "gpu"), ("b", "cpu"))
    of_two_legs = (("p", "prefill"), ("d", "decode"), ("e", "decode"))
    return (
        cases(batchings, caching=caching, decodings=decodings, routings=SEVERAL, names=THREE)
        | cases(batchings, caching=caching, decodings=decodings, routings=(Unhurried(), *SEVERAL), names=THREE).map(
            with_models
        )
        | cases(batchings, caching=caching, decodings=decodings, routings=(Offload(10.0),), names=of_two_kinds)
        | cases(
            batchings, caching=caching, decodings=decodings, routings=(Disaggregation(), Crossing()), names=of_two_legs
        )
    )
