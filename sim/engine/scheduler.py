"""A replica without its time: who waits there, who runs, and what is done next."""

from __future__ import annotations

from collections.abc import Collection

from sim.device import Device
from sim.engine.agenda import Agenda
from sim.engine.ahead import AheadBatch
from sim.engine.batch import Batch
from sim.engine.cadence import Cadence, CadenceBatch, FillingCadence
from sim.engine.exchange import Exchanging
from sim.engine.growth import FillingLockstep, GrowingLockstep
from sim.engine.host import host_of
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.moving import waiting_queue
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.planner import DecodeFirst, Exclusive, Planner
from sim.engine.prefix import PrefixCache
from sim.engine.ranked import Ranked
from sim.engine.static import StaticBatch, StaticPlanner
from sim.engine.until_first import UntilFirstBatch, UntilFirstPlanner
from sim.execution import IterationLevel, Phases, RequestLevel, Until
from sim.job import Job
from sim.policy import Batching, Policy
from sim.step import Hold

PLANNERS: dict[Phases, type[Planner]] = {
    Phases.MIXED: Planner,
    Phases.DECODE_FIRST: DecodeFirst,
    Phases.EXCLUSIVE: Exclusive,
    Phases.BY_RANK: Ranked,
}


class Scheduler:
    """The parts that decide on a `device` under a `policy`, put together.

    A replica simulates the time between `plan` and `commit`; an engine on a real model lets it pass. `together`: see
    `sim.engine.planner.Planner`.
    """

    def __init__(self, device: Device, policy: Policy, together: bool = True) -> None:
        batching = device.batching or policy.batching
        execution = batching.execution
        self.agenda = Agenda()
        self.waiting = waiting_queue(policy.order, batching)
        self.planner: Planner | StaticPlanner
        if device.decoding is not None and (isinstance(execution, RequestLevel) or execution.plans_ahead):
            what = "one whose plans_ahead is 0" if isinstance(execution, IterationLevel) else "an iteration-level one"
            part = f"{type(device.decoding).__name__} on {device.name}"
            raise ValueError(f"{part} needs another batching than {type(batching).__name__}: {what}")
        decoding = device.decoding
        if isinstance(execution, IterationLevel) and decoding is not None and not decoding.divisible:
            budget, pass_tokens = execution.max_num_batched_tokens, 1 + decoding.lookahead
            if budget is not None and budget < pass_tokens:
                name = f"{type(decoding).__name__} on {device.name}"
                raise ValueError(
                    f"max_num_batched_tokens must hold a pass of {name}, {pass_tokens} tokens, got {budget}"
                )
        self.batch = _static(device, execution) if isinstance(execution, RequestLevel) else _batch(device, execution)
        host = host_of(device, self.batch.kv, self.agenda)
        self.parked = Parked(policy.eviction, self.waiting, self.batch, host, self.agenda)
        if isinstance(self.batch, AheadBatch):
            self.batch.stopped = self.parked
        if isinstance(execution, IterationLevel):
            make = _planner(batching, execution)
            self.planner = make(device, execution, batching, self.parked, self.waiting, self.batch, together)
        elif isinstance(self.batch, UntilFirstBatch):
            self.planner = UntilFirstPlanner(device, batching, self.waiting, self.batch, self.parked)
        else:
            self.planner = StaticPlanner(device, batching, self.waiting, self.batch, self.parked)

    @property
    def running(self) -> Collection[Job]:
        """The jobs that run, in the order of their admission: to read and not to keep."""
        return self.batch.running.keys()

    def submit(self, job: Job, now: float) -> None:
        """Let `job` wait from `now` (s) on."""
        job.queued, job.found = now, len(self.waiting)
        if job.true_pauses:
            self.planner.attend()
        self.waiting.push(job, now)
        if self.parked.foresees:
            self.parked.new.append(job)

    def plan(self, now: float) -> Plan | Hold:
        """What is done next; a `Hold` if nothing is."""
        self.waiting.steps += 1
        plan = self.planner.plan(now)
        return Hold(min(plan.until, self.agenda.head)) if isinstance(plan, Hold) else plan

    def commit(self, plan: Plan) -> list[Job]:
        """`plan` has been carried out, at its `end` (s): the jobs whose leg is over, in the order of admission."""
        return self.batch.commit(plan)

    def release(self, job: Job) -> None:
        """The KV of `job`, whose leg is over, has been sent to where the next is."""
        self.batch.kv.release(job)


def _planner(batching: Batching, execution: IterationLevel) -> type[Planner]:
    """The planner for these phases; ValueError if there is none for a batching that names victims."""
    if type(batching).victim is Batching.victim:
        return PLANNERS[execution.phases]
    if execution.phases is not Phases.MIXED:
        raise ValueError(f"{type(batching).__name__} names victims: phases must be mixed, got {execution.phases.value}")
    return Exchanging


def _static(device: Device, execution: RequestLevel) -> StaticBatch:
    """An empty request-level batch; its padded rows share nothing."""
    kv = KVCache(device.blocks, device.block_size)
    make = StaticBatch if execution.until is Until.LAST else UntilFirstBatch
    return make(kv, GrowingLockstep(kv))


def _batch(device: Device, execution: IterationLevel) -> Batch:
    """An empty iteration-level batch."""
    kv, lockstep = _memory(device, execution)
    if isinstance(lockstep, Cadence):
        return CadenceBatch(kv, lockstep)
    return AheadBatch(kv, lockstep) if execution.plans_ahead else Batch(kv, lockstep)


def _memory(device: Device, execution: IterationLevel) -> tuple[KVCache, Lockstep]:
    """An empty KV cache of the device's size, and how decoding jobs take blocks of it.

    KV that is set aside before there is anything in it is not shared.
    """
    longest = device.longest_output
    if device.prefix_caching and not execution.reserve_output:
        cache = PrefixCache(device.blocks, device.block_size)
        if device.decoding is not None:
            return cache, FillingCadence(cache, device.decoding, longest)
        return cache, FillingLockstep(cache, execution.plans_ahead, device.longest_output)
    kv = KVCache(device.blocks, device.block_size)
    if device.decoding is not None:
        return kv, Cadence(kv, device.decoding, longest, grows=not execution.reserve_output)
    make = Lockstep if execution.reserve_output else GrowingLockstep
    return kv, make(kv, execution.plans_ahead, device.longest_output)
