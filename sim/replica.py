"""A replica: one device that serves jobs in steps: plan, wait for the end of the step, commit."""

from __future__ import annotations

import math
from collections.abc import Callable

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
        self.idled = 0  # how often it waited for a job
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
        self._plan: Plan | None = None  # what is being carried out
        self._due: At | None = None  # what is waited for: the plan's end, or that of a hold
        self._servable = device.surely_servable(batching.execution)

    def submit(self, job: Job, prefill_only: bool) -> None:
        """Let `job` wait here. Raises `Unservable`."""
        request = job.request
        if request.prompt_tokens + request.truth.output_tokens > self._servable:
            self.device.check_servable(request, self.batch.execution)
        now: float = self.env.now
        job.device = self.device
        job.prefill_only = prefill_only
        if job.queued is None:
            job.queued = now
        job.overhead_seconds -= self._overhead_seconds
        self.submitted += 1
        self.jobs += 1
        plan = self._plan
        if plan is None:
            if self._due is None or self._due.instant > now:
                self._due = At(self.env, now, LATE, self._go_on)  # after all arrivals of this instant
        elif plan.steps > 1 and (self._watched or self.batch.is_open()):
            self._cut(plan, now)
        self.waiting.push(job, now)

    def _go_on(self, event: simpy.Event) -> None:
        """What was waited for has come: carry out the plan, if there is one, and plan again."""
        if event is not self._due:
            return  # it is not waited for any more
        plan = self._plan
        if plan is None:
            self.idled += 1
            self.waiting.steps += 1  # to have idled is to have let time pass, as a step does
        else:
            self._plan = None
            self._commit(plan)
        batch, now = self.batch, self._due.instant
        if not self.waiting.front and batch.decodes_on():
            chosen = Plan(now)
            self._decode(chosen, batch.lockstep.rows, batch.lockstep.context)
        else:
            decision = batch.plan(now)
            if isinstance(decision, Hold):
                self._due = At(self.env, decision.until, LATE, self._go_on) if decision.until < math.inf else None
                return
            chosen = decision
            self._price(chosen)
        self._plan = chosen
        self._due = At(self.env, chosen.end, LATE, self._go_on)

    # Time

    def _price(self, plan: Plan) -> None:
        """When `plan` ends."""
        lockstep = self.batch.lockstep
        jobs, context = (lockstep.rows, lockstep.context) if plan.decodes else (0, 0)
        prefill_tokens = prefill_attended = 0
        for job, new in plan.grants.items():
            if new == 1:
                jobs += 1
                context += job.base_computed + 1
            else:
                prefill_tokens += new
                prefill_attended += attended_tokens(new, job.base_computed)
        overhead = self._charge(plan) if self._charges else 0.0
        if prefill_tokens or overhead or plan.moved_tokens or not jobs:
            plan.step = Step(prefill_tokens, prefill_attended, jobs, context, plan.moved_tokens)
            plan.end = plan.start + (overhead + self.device.profile.step_time(plan.step))
            self._stretch = None
        else:
            self._decode(plan, jobs, context)

    def _decode(self, plan: Plan, jobs: int, context: int) -> None:
        """Price a `plan` that only decodes, `jobs` with a total of `context` tokens, and leap if that is all it does."""
        stretch = self._stretch
        if stretch is None or not stretch.continues(plan.start, jobs, context):
            line = self._lines.get(jobs)
            if line is None or not line.since <= context <= line.until:
                line = self._lines[jobs] = self.device.profile.decode_line(jobs, context)
            stretch = self._stretch = Stretch(plan.start, jobs, context, line)
        if self._keeps_steps:
            plan.step = Step(0, 0, jobs, context)
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
        stretch = self._stretch
        assert stretch is not None
        steps, end = stretch.steps_by(now)
        if steps - stretch.done < plan.steps:
            plan.steps = steps - stretch.done
            plan.end = end
            self._due = At(self.env, end, LATE, self._go_on)

    def settle(self) -> None:
        """Bring the state up to date in the middle of a leap: the steps that are over are over."""
        if self._plan is not None and self._plan.steps > 1:
            assert self._stretch is not None
            self._pass(self._plan, self._stretch.steps_by(self.env.now)[0] - self._stretch.done - 1)

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
