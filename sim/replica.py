"""A replica: one device that serves jobs in steps. Its loop is plan, wait for the step, commit."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import simpy

from sim.batch import Batch
from sim.device import Device
from sim.instant import LATE, At
from sim.job import Job
from sim.plan import Plan
from sim.policy import Overhead, Policy
from sim.queue import WaitingQueue
from sim.record import Recorder
from sim.step import Hold, Line, Step, attended_tokens
from sim.stretch import Stretch


class Replica:
    """A device under a policy, and the time that passes there. `leave` is called with each job whose leg is over."""

    def __init__(
        self,
        env: simpy.Environment,
        device: Device,
        policy: Policy,
        recorder: Recorder,
        leave: Callable[[Job], None],
        leap: bool,
    ) -> None:
        batching = device.batching or policy.batching
        self.env = env
        self.device = device
        self.waiting = WaitingQueue(policy.order, batching.execution.window)
        self.batch = Batch(device, batching, policy.eviction, self.waiting, together=leap)
        self.submitted = 0  # jobs that were ever sent here
        self.jobs = 0  # those of them that are here
        self._overhead = policy.overhead
        self._overhead_seconds = 0.0  # scheduler time spent here so far
        self._recorder = recorder
        self._leave = leave
        self._leap = leap
        self._charges = policy.overhead != Overhead()
        self._keeps_steps = recorder.keeps_steps
        self._watched = recorder.keeps_steps or policy.overhead.rank_seconds > 0  # an arrival leaves a trace at once
        self._lines: dict[int, Line] = {}  # the profile's answers, by decoding jobs
        self._stretch: Stretch | None = None  # the decode steps under way
        self._plan: Plan | None = None
        self._end: At | None = None  # when the plan ends
        self._wake: simpy.Event | None = None
        env.process(self.loop())

    def submit(self, job: Job, prefill_only: bool) -> None:
        """Let `job` wait here. Raises `Unservable`."""
        self.device.check_servable(job.request, self.batch.execution)
        now = self.env.now
        job.device = self.device
        job.prefill_only = prefill_only
        if job.queued is None:
            job.queued = now
        job.overhead_seconds -= self._overhead_seconds
        self.submitted += 1
        self.jobs += 1
        plan = self._plan
        if plan is None:
            if self._wake is not None and not self._wake.triggered:
                self._wake.succeed()
        elif plan.steps > 1 and (self._watched or self.batch.is_open()):
            self._cut(plan, now)
        self.waiting.push(job, now)

    def loop(self) -> Generator[simpy.Event, Any, None]:
        """Plan, wait, commit, for ever."""
        env, batch = self.env, self.batch
        while True:
            if not batch.running and not self.waiting.front:
                yield from self._idle(math.inf)
            plan = batch.plan(env.now)
            if isinstance(plan, Hold):
                yield from self._idle(plan.until)
            elif not batch.running and not plan.preempted:
                yield from self._idle(math.inf)  # the batching admits nobody
            else:
                self._price(plan)
                self._plan = plan
                self._end = At(env, plan.end, LATE)
                yield self._end
                self._plan = None
                self._commit(plan)

    def _idle(self, until: float) -> Generator[simpy.Event, Any, None]:
        """Wait for a job to come, or until an instant (s)."""
        self._wake = self.env.event()
        yield self._wake if until == math.inf else self._wake | At(self.env, until, LATE)
        self._wake = None
        yield At(self.env, self.env.now, LATE)  # let every arrival of this instant in
        self.waiting.steps += 1  # to have idled is to have let time pass, as a step does

    # Time

    def _price(self, plan: Plan) -> None:
        """When `plan` ends, and of how many steps it is."""
        lockstep = self.batch.lockstep
        jobs, context = (lockstep.rows, lockstep.context) if plan.decodes else (0, 0)
        overhead = self._charge(plan) if self._charges else 0.0
        if plan.grants or plan.preempted or overhead:
            prefill_tokens = prefill_attended = 0
            for job, new in plan.grants.items():
                if new == 1:
                    jobs += 1
                    context += job.base_computed + 1
                else:
                    prefill_tokens += new
                    prefill_attended += attended_tokens(new, job.base_computed)
            if prefill_tokens or overhead or plan.moved_tokens or not jobs:
                plan.step = Step(prefill_tokens, prefill_attended, jobs, context, plan.moved_tokens)
                plan.end = plan.start + (overhead + self.device.profile.step_time(plan.step))
                self._stretch = None
                return
        stretch = self._stretch
        if stretch is None or not stretch.continues(plan.start, jobs, context):
            line = self._lines.get(jobs)
            if line is None or not line.since <= context <= line.until:
                line = self._lines[jobs] = self.device.profile.decode_line(jobs, context)
            stretch = self._stretch = Stretch(plan.start, jobs, context, line)
        if self._keeps_steps:
            plan.step = Step(decode_jobs=jobs, decode_context=context)
        if self._leap and not plan.grants:
            plan.steps = self._leap_steps(stretch)
        plan.end = stretch.end(stretch.done + plan.steps)

    def _charge(self, plan: Plan) -> float:
        """The scheduler's own seconds in `plan`."""
        cost = self._overhead
        plan.overhead = cost.rank_seconds * self.waiting.ranked
        if plan.admits or plan.preempted:
            plan.overhead += cost.decision_seconds
        self.waiting.ranked = 0
        self._overhead_seconds += plan.overhead
        return plan.overhead

    def _leap_steps(self, stretch: Stretch) -> int:
        """For how many steps nothing can change: nobody ends, memory and the profile's line last, ranks hold."""
        batch = self.batch
        lockstep = batch.lockstep
        steps = stretch.within(lockstep.ends[0][0] - lockstep.tick)
        if self.waiting.front and batch.is_open():
            steps = 1 if batch.kv.shares_output else int(min(steps, self.waiting.holds))
        return steps if steps <= 1 else 1 + batch.kv.ticks_within(lockstep.tick + 1, steps - 1)

    def _cut(self, plan: Plan, now: float) -> None:
        """End the leap `plan` with the step that is under way at `now` (s)."""
        stretch, end = self._stretch, self._end
        assert stretch is not None and end is not None
        steps = stretch.steps_by(now) - stretch.done
        if steps < plan.steps:
            plan.steps = steps
            plan.end = stretch.end(stretch.done + steps)
            self._end = At(self.env, plan.end, LATE)
            self._end.callbacks, end.callbacks = end.callbacks, []  # the loop waits for the nearer end instead

    def settle(self) -> None:
        """Bring the state up to date in the middle of a leap: the steps that are over are over."""
        if self._plan is not None and self._plan.steps > 1:
            assert self._stretch is not None
            self._pass(self._plan, self._stretch.steps_by(self.env.now) - self._stretch.done - 1)

    def _pass(self, plan: Plan, steps: int) -> None:
        """The first `steps` steps of the leap `plan` are over, and the one after them is under way."""
        stretch, batch, lockstep = self._stretch, self.batch, self.batch.lockstep
        assert stretch is not None
        unit = 1 if self._keeps_steps else steps
        for _ in range(0, steps, unit or 1):
            stretch.done += unit
            if self._keeps_steps:
                end = stretch.end(stretch.done)
                self._recorder.step(self, plan, end)
                plan.start, plan.step = end, Step(0, 0, lockstep.rows, lockstep.context + lockstep.rows)
            batch.leap(unit)
        plan.steps -= steps
        self.waiting.steps += steps

    def _commit(self, plan: Plan) -> None:
        """`plan` is carried out: tokens are computed, some are emitted, jobs that are through leave."""
        if self._keeps_steps:
            if plan.steps > 1:
                self._pass(plan, plan.steps - 1)
            self._recorder.step(self, plan, plan.end)
        if self._stretch is not None:
            self._stretch.done += plan.steps
        self.waiting.steps += plan.steps
        for job in self.batch.commit(plan):
            self.jobs -= 1
            job.overhead_seconds += self._overhead_seconds
            self._leave(job)


class View:
    """What a routing may see of a replica; implements `sim.policy.ReplicaView`."""

    __slots__ = ("_replica", "kind", "name")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.name = replica.device.name
        self.kind = replica.device.kind

    @property
    def jobs(self) -> int:
        return self._replica.jobs

    @property
    def submitted(self) -> int:
        return self._replica.submitted

    @property
    def free_blocks(self) -> int:
        self._replica.settle()
        return self._replica.batch.kv.free

    def cached_tokens(self, job: Job) -> int:
        self._replica.settle()
        kv = self._replica.batch.kv
        return len(kv.find(job)) * kv.block_size
