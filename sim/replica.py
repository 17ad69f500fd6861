"""A replica: one device that serves jobs in steps. Its loop is plan, wait for the step, commit."""

from __future__ import annotations

import math
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from sim.job import Job
from sim.kv import KVCache
from sim.late import Late
from sim.policy import Batching, Execution, Keep, Policy, ReplicaView
from sim.queue import WaitingQueue
from sim.record import Recorder
from sim.step import Hold, Profile, Step


class Unservable(ValueError):  # noqa: N818 - the state a request is in, as DESIGN.md calls it
    """A request that this device could never serve."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device with a model on it.

    `kind` is what routings go by (gpu, cpu). `kv_tokens` is the KV cache's size in tokens, `kv_bytes_per_token` the
    size of one token's KV in bytes. `max_model_len` bounds prompt plus output, in tokens. `batching`, where given,
    overrides the policy's on this device.
    """

    name: str
    kind: str
    profile: Profile
    kv_tokens: int
    max_model_len: int
    block_size: int = 16
    kv_bytes_per_token: int = 0
    batching: Batching | None = None

    def __post_init__(self) -> None:
        for field in ("kv_tokens", "max_model_len", "block_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"device {self.name}: {field} must be positive, got {getattr(self, field)}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replica does next: tokens granted to jobs, the step that this is, and how long it takes (s)."""

    grants: tuple[tuple[Job, int], ...]
    step: Step
    seconds: float
    overhead_seconds: float
    preempted: tuple[Job, ...]


class Replica:
    """The run state of a device under a policy."""

    def __init__(self, env: simpy.Environment, device: Device, policy: Policy, recorder: Recorder) -> None:
        self.env = env
        self.device = device
        self.policy = policy
        self.recorder = recorder
        self.batching: Batching = device.batching or policy.batching
        self.kv = KVCache(device.kv_tokens // device.block_size, device.block_size)
        self.waiting = WaitingQueue(policy.order)
        self.running: dict[Job, None] = {}  # an ordered set, in admission order
        self.overhead_seconds = 0.0  # scheduler time spent here so far
        self._wake: simpy.Event | None = None
        env.process(self.loop())

    def view(self) -> ReplicaView:
        """What a routing may see."""
        return ReplicaView(self.device.name, self.device.kind, len(self.waiting), len(self.running), self.kv.free)

    def submit(self, job: Job, prefill_only: bool) -> simpy.Event:
        """Let `job` wait here; the event returned fires when its leg is over. Raises `Unservable`."""
        self._check_servable(job)
        now = self.env.now
        job.device = self.device
        job.prefill_only = prefill_only
        job.queued = now if job.queued is None else job.queued
        job.overhead_seconds -= self.overhead_seconds
        job.done = self.env.event()
        self.waiting.push(job, now)
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()
        return job.done

    def _check_servable(self, job: Job) -> None:
        request, device, execution = job.request, self.device, self.batching.execution
        total = request.prompt_tokens + request.truth.output_tokens
        if total > device.max_model_len:
            raise Unservable(
                f"request {request.id} needs {total} tokens, {device.name} allows max_model_len={device.max_model_len}"
            )
        kept = request.prompt_tokens + self._longest_output(job) if execution.reserve_output else total
        capacity = self.kv.total * self.kv.block_size
        if kept > capacity:
            raise Unservable(f"request {request.id} needs {kept} tokens of KV, {device.name} has {capacity}")
        budget = execution.max_num_batched_tokens
        if budget is not None and not execution.chunked_prefill and total > budget:
            raise Unservable(  # a job preempted late prefills all its tokens anew
                f"request {request.id} may need an unchunked prefill of {total} tokens, "
                f"{device.name} runs max_num_batched_tokens={budget}"
            )

    def _longest_output(self, job: Job) -> int:
        """The longest output that the client and the model allow, in tokens."""
        request = job.request
        room = self.device.max_model_len - request.prompt_tokens
        return room if request.max_tokens is None else min(request.max_tokens, room)

    def loop(self) -> Generator[simpy.Event, Any, None]:
        """Plan, wait, commit, for ever."""
        while True:
            plan = self.plan(self.env.now)
            if isinstance(plan, Plan):
                yield Late(self.env, plan.seconds)
                self.commit(plan, self.env.now)
            else:
                yield from self._idle(plan)

    def _idle(self, hold: Hold | None) -> Generator[simpy.Event, Any, None]:
        """Wait for a job, or for the end of a hold."""
        self._wake = self.env.event()
        if hold is None or hold.until == math.inf:
            yield self._wake
        else:
            yield self._wake | Late(self.env, max(0.0, hold.until - self.env.now))
        self._wake = None
        yield Late(self.env)  # let every arrival of this instant in

    def plan(self, now: float) -> Plan | Hold | None:
        """Choose the next step: which jobs, how many tokens each. None: there is nothing to do."""
        if not self.waiting and not self.running:
            return None
        execution = self.batching.execution
        self.waiting.refresh(now)
        chosen = self.batching.select(self.waiting.head(execution.window), tuple(self.running), now)
        if isinstance(chosen, Hold):
            if self.running:
                raise RuntimeError(f"{type(self.batching).__name__} holds at {now} s while jobs run")
            if not chosen.until > now:
                raise RuntimeError(f"{type(self.batching).__name__} holds at {now} s until {chosen.until} s")
            return chosen
        if not chosen:
            if self.running:
                raise RuntimeError(f"{type(self.batching).__name__} selects nothing at {now} s while jobs run")
            return None
        return self._grant(chosen, execution, now)

    def _grant(self, chosen: Sequence[Job], execution: Execution, now: float) -> Plan:
        """Walk the chosen jobs: tokens and blocks to the running ones, then admission of the waiting ones."""
        grants: dict[Job, int] = {}
        preempted: list[Job] = []
        budget = execution.max_num_batched_tokens or sys.maxsize
        moved_tokens = 0
        admitted = False
        reserved = self._reservation(chosen) if execution.reserve_output else {}
        for job in chosen:
            if budget == 0:
                break
            new = min(self._chunk(job, execution), budget)
            if job in self.running:
                if new < 1:
                    continue
                while not self.kv.can_hold(job, job.computed + new):
                    victim = self._worst(now)
                    budget += grants.pop(victim, 0)
                    moved_tokens += self._preempt(victim, now)
                    preempted.append(victim)
                    if victim is job:
                        break
                if job not in self.running:
                    break
                self.kv.hold(job, job.computed + new)
            elif job in preempted:
                continue
            elif preempted or len(self.running) >= execution.max_num_seqs:
                break
            elif not self._admissible(job, new, execution, reserved):
                if execution.skip_unfit:
                    continue
                break
            else:
                self.kv.hold(job, reserved.get(job, job.computed + new))
                moved_tokens += self._admit(job, now)
                admitted = True
            grants[job] = new
            budget -= new
        if not grants and not preempted:
            raise RuntimeError(f"{self.device.name} grants no token at {now} s to {len(chosen)} chosen jobs")
        return self._price(grants, moved_tokens, preempted, decided=admitted or bool(preempted))

    def _chunk(self, job: Job, execution: Execution) -> int:
        """Tokens that `job` would compute next: what is pending, up to the longest chunk."""
        threshold = execution.long_prefill_token_threshold
        if 0 < threshold < job.pending and len(self.running) + len(self.waiting) > 1:
            return threshold
        return job.pending

    def _reservation(self, chosen: Sequence[Job]) -> dict[Job, int]:
        """KV tokens to set aside for each job that enters a batch whose rows are all as wide as the widest."""
        entering = [job for job in chosen if job not in self.running]
        reserved: dict[Job, int] = {}
        width = longest = 0
        for count, job in enumerate(entering, start=1):
            width = max(width, job.context)
            longest = max(longest, self._longest_output(job))
            if count > 1 and width + longest > self.device.max_model_len:
                break
            if count * self.kv.blocks_for(width + longest) > self.kv.free:
                break
            reserved = dict.fromkeys(entering[:count], width + longest)
        return reserved

    def _admissible(self, job: Job, new: int, execution: Execution, reserved: dict[Job, int]) -> bool:
        """Whether a waiting job may enter: its chunk is whole if chunks are off, and the KV of all its tokens fits."""
        if execution.reserve_output:
            return job in reserved
        if not execution.chunked_prefill and new < job.pending:
            return False
        return self.kv.can_hold(job, job.context)

    def _admit(self, job: Job, now: float) -> int:
        """Move `job` from waiting to running; the KV tokens that come back from the host with it."""
        self.waiting.remove(job)
        self.running[job] = None
        if job.first_scheduled is None:
            job.first_scheduled = now
        moved, job.host_tokens = job.host_tokens, 0
        return moved

    def _worst(self, now: float) -> Job:
        """The running job that memory pressure takes first: the last in rank, then arrival, then id."""
        return max(self.running, key=lambda job: self.waiting.entry(job, now)[:3])

    def _preempt(self, victim: Job, now: float) -> int:
        """Take `victim`'s blocks and let it wait again; the KV tokens that go to the host."""
        del self.running[victim]
        self.kv.release(victim)
        victim.preemptions += 1
        if self.policy.eviction.on_pressure(victim) is Keep.SWAP:
            victim.host_tokens = victim.computed
        else:
            victim.computed = 0
        self.waiting.push(victim, now)
        return victim.host_tokens

    def _price(self, grants: dict[Job, int], moved_tokens: int, preempted: list[Job], decided: bool) -> Plan:
        """The step that the grants are, and its seconds, the scheduler's own among them."""
        step = self.batching.execution.layout(((new, job.computed) for job, new in grants.items()), moved_tokens)
        cost = self.policy.overhead
        overhead = decided * cost.decision_seconds + cost.rank_seconds * self.waiting.ranked
        self.waiting.ranked = 0
        self.overhead_seconds += overhead
        seconds = overhead + self.device.profile.step_time(step)
        return Plan(tuple(grants.items()), step, seconds, overhead, tuple(preempted))

    def commit(self, plan: Plan, now: float) -> None:
        """The step is over: tokens are computed, some are emitted, jobs that are through leave."""
        streams = self.batching.execution.streams
        ended = False
        for job, new in plan.grants:
            job.computed += new
            if job.computed < job.context:
                continue
            job.context += 1  # the token sampled; of a job that is complete, padding
            if job.complete:
                continue
            job.emitted += 1
            if streams and job.first_token is None:
                job.first_token = now
            ended = ended or job.complete or job.prefill_only
        self.recorder.step(self, plan, now)
        if ended:
            self._retire(now)

    def _retire(self, now: float) -> None:
        """Let the jobs go whose leg is over."""
        leaving = [job for job in self.running if job.prefill_only and job.emitted and not job.complete]
        for job in (*self.batching.retire(tuple(self.running)), *leaving):
            del self.running[job]
            self.kv.release(job)
            job.overhead_seconds += self.overhead_seconds
            if job.complete:
                job.first_token = now if job.first_token is None else job.first_token
                job.finished = now
            assert job.done is not None
            job.done.succeed()
        if self.running and all(job.complete for job in self.running):
            raise RuntimeError(f"{type(self.batching).__name__} keeps jobs that are all complete, at {now} s")
