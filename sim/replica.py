"""A replica: one device that serves jobs in steps. Its loop is plan, wait for the step, commit."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import simpy

from sim.device import Device
from sim.instant import LATE, At
from sim.job import Job
from sim.lockstep import Lockstep
from sim.policy import Batching, Execution, Keep, Phases, Policy, horizon
from sim.queue import WaitingQueue
from sim.record import Recorder
from sim.step import Hold, Step, attended_tokens
from sim.stretch import Stretch


class Plan:
    """What a replica does next: `grants` of tokens to jobs, and a token to each job in lockstep if it `decodes`.

    It starts at `start` and ends at `end` (s). A plan of several `steps` is a leap: only the lockstep moves.
    """

    __slots__ = ("admitted", "decodes", "end", "grants", "moved_tokens", "overhead", "preempted", "start", "step", "steps")

    def __init__(self, start: float) -> None:
        self.start = self.end = start
        self.steps = 1
        self.decodes = True
        self.admitted = False
        self.grants: dict[Job, int] = {}
        self.preempted: list[Job] = []
        self.moved_tokens = 0  # tokens whose KV moves between device and host
        self.overhead = 0.0  # the scheduler's own seconds
        self.step = Step()


class Replica:
    """The run state of a device under a policy.

    Running jobs are either in `lockstep`, decoding, or in `explicit`, where each is given its tokens by name.
    """

    def __init__(
        self,
        env: simpy.Environment,
        device: Device,
        policy: Policy,
        recorder: Recorder,
        leave: Callable[[Job], None],
        leap: bool,
    ) -> None:
        self.env = env
        self.device = device
        self.policy = policy
        self.recorder = recorder
        self.batching: Batching = device.batching or policy.batching
        self.execution: Execution = self.batching.execution
        self.kv = device.new_cache()
        self.waiting = WaitingQueue(policy.order, self.execution.window)
        self.running: dict[Job, None] = {}  # an ordered set, in admission order
        self.explicit: dict[Job, None] = {}  # those of them that are not in lockstep, in the same order
        self.lockstep = Lockstep()
        self.submitted = 0
        self.overhead_seconds = 0.0  # scheduler time spent here so far
        self._leave = leave
        self._leap = leap
        self._horizon = horizon(policy.order)
        self._steps = 0  # steps that are over
        self._ranked_at = 0  # how many there were when all ranks were last computed
        self._places = 0
        self._spare = int(self.execution.watermark * (self.kv.total + 1))  # blocks; vLLM counts its null block too
        self._complete = 0  # running jobs that are: the padding of a static batch
        self._stretch: Stretch | None = None
        self._plan: Plan | None = None  # the one under way
        self._end: At | None = None  # when it ends
        self._wake: simpy.Event | None = None
        env.process(self.loop())

    def submit(self, job: Job, prefill_only: bool) -> None:
        """Let `job` wait here; `leave` is called when its leg is over. Raises `Unservable`."""
        self.device.check_servable(job.request, self.execution)
        now = self.env.now
        job.device = self.device
        job.prefill_only = prefill_only
        if job.queued is None:
            job.queued = now
        job.overhead_seconds -= self.overhead_seconds
        self.submitted += 1
        if self._plan is not None:
            if self._plan.steps > 1 and self._matters():
                self._cut(now)
        elif self._wake is not None and not self._wake.triggered:
            self._wake.succeed()
        self.waiting.push(job, now)

    def _matters(self) -> bool:
        """Whether a job that comes could change what the next step is, or what is recorded of it."""
        return self._open() or self.policy.overhead.rank_seconds > 0 or self.recorder.keeps_steps

    def _open(self) -> bool:
        """Whether a waiting job could be admitted, as far as places go."""
        return not self.running or (len(self.running) < self.execution.max_num_seqs and not self.execution.static)

    def loop(self) -> Generator[simpy.Event, Any, None]:
        """Plan, wait, commit, for ever."""
        while True:
            plan = self.plan(self.env.now)
            if isinstance(plan, Plan):
                self._plan = plan
                self._end = At(self.env, plan.end, LATE)
                yield self._end
                self._plan = None
                self.commit(plan)
            else:
                yield from self._idle(plan)

    def _idle(self, hold: Hold | None) -> Generator[simpy.Event, Any, None]:
        """Wait for a job, or for the end of a hold."""
        self._wake = self.env.event()
        if hold is None or hold.until == math.inf:
            yield self._wake
        else:
            yield self._wake | At(self.env, max(self.env.now, hold.until), LATE)
        self._wake = None
        yield At(self.env, self.env.now, LATE)  # let every arrival of this instant in

    # Plan

    def plan(self, now: float) -> Plan | Hold | None:
        """Choose the next step: which jobs, how many tokens each. None: there is nothing to do."""
        if not self.running and not self.waiting:
            return None
        plan = Plan(now)
        budget = self.execution.max_num_batched_tokens or sys.maxsize
        hold = None
        if self.execution.phases is Phases.EXCLUSIVE:
            hold = self._admit(plan, budget)
            if plan.grants:
                plan.decodes = False
            else:
                self._serve(plan, budget)
        else:
            if self.running:
                budget = self._serve(plan, budget)
            if not plan.preempted:
                hold = self._admit(plan, budget)
        if not self.running and not plan.preempted:
            return hold
        self._price(plan)
        return plan

    def _serve(self, plan: Plan, budget: int) -> int:
        """Give the running jobs their tokens and blocks, all alike if both suffice; the budget (tokens) that is left."""
        lockstep, kv = self.lockstep, self.kv
        growth = kv.growth(lockstep.tick)
        rest = budget - lockstep.rows
        fits = growth <= kv.free and rest >= 0 and (self._leap or self.execution.static)
        if fits and self.explicit:
            for job in self.explicit:
                chunk = self._chunk(job, job.pending)
                new = min(chunk, rest)
                growth += kv.missing(job, job.computed + new)
                last = new == chunk or (new and self._is_last(job))
                if growth > kv.free or not last:
                    fits = False
                    plan.grants.clear()
                    break
                plan.grants[job] = new
                rest -= new
        if not fits:
            return self._walk(plan, budget)
        for job, new in plan.grants.items():
            kv.hold(job, job.computed + new)
        kv.grow(lockstep.tick, 1)
        return rest

    def _is_last(self, job: Job) -> bool:
        """Whether nobody would be served after `job`, so that it may take the last of the budget."""
        return self.execution.phases is Phases.DECODE_FIRST or job is next(reversed(self.running))

    def _chunk(self, job: Job, pending: int) -> int:
        """Tokens that `job` would compute next: what is pending, up to the longest chunk."""
        threshold = self.execution.long_prefill_token_threshold
        return threshold if 0 < threshold < pending and len(self.running) + len(self.waiting) > 1 else pending

    def _walk(self, plan: Plan, budget: int) -> int:
        """Serve the running jobs one by one, in order, until tokens or blocks run out; the budget that is left."""
        for job in self.lockstep.dissolve():
            if not job.reserved:
                self.kv.dismiss(job, self.lockstep.tick)
        self.explicit = dict.fromkeys(self.running)
        order = list(self.running)
        if self.execution.phases is Phases.DECODE_FIRST:
            order.sort(key=lambda job: job.pending > 1)
        for job in order:
            if job not in self.running:
                continue  # a victim of this very step
            if budget == 0:
                break
            new = min(self._chunk(job, job.pending), budget)
            while self.kv.missing(job, job.computed + new) > self.kv.free:
                victim = self._worst(plan.start)
                budget += plan.grants.pop(victim, 0)
                self._preempt(plan, victim)
                if victim is job:
                    return budget
            self.kv.hold(job, job.computed + new)
            plan.grants[job] = new
            budget -= new
        return budget

    def _worst(self, now: float) -> Job:
        """The running job that memory pressure takes first: the last in rank, then arrival, then id."""
        return max(self.running, key=lambda job: self.waiting.entry(job, now)[:3])

    def _preempt(self, plan: Plan, victim: Job) -> None:
        """Take `victim`'s blocks and let it wait again."""
        del self.running[victim], self.explicit[victim]
        self.kv.release(victim)
        victim.preemptions += 1
        if self.policy.eviction.on_pressure(victim) is Keep.SWAP:
            victim.host_tokens = victim.base_computed
        else:
            victim.base_computed = 0
        plan.moved_tokens += victim.host_tokens
        plan.preempted.append(victim)
        self.waiting.push(victim, plan.start)

    def _admit(self, plan: Plan, budget: int) -> Hold | None:
        """Admit waiting jobs as the batching selects them, while places, tokens and blocks last."""
        waiting, execution = self.waiting, self.execution
        while waiting and budget > 0 and self._open():
            if self._steps - self._ranked_at >= self._horizon or not (self.running or self._horizon == math.inf):
                waiting.refresh(plan.start)
                self._ranked_at = self._steps
            shown = waiting.head()
            chosen = self.batching.select(shown, tuple(self.running), plan.start)
            if isinstance(chosen, Hold):
                if self.running or not chosen.until > plan.start:
                    while_running = " while jobs run" if self.running else ""
                    raise RuntimeError(
                        f"{type(self.batching).__name__} holds at {plan.start} s until {chosen.until} s{while_running}"
                    )
                return chosen
            for job, reserved in self._reservations(chosen):
                if budget == 0 or len(self.running) == execution.max_num_seqs:
                    return None
                new = self._enter(plan, job, reserved, budget)
                if not new and not execution.skip_unfit:
                    return None
                budget -= new
            if any(job not in self.running for job in shown):
                return None
        return None

    def _reservations(self, chosen: Sequence[Job]) -> Iterable[tuple[Job, int]]:
        """Those of `chosen` that may enter, with the KV tokens to set aside for each (0: it takes them as it goes).

        A static batch is as large as its rows, each as wide as the widest, find room for their longest answers.
        """
        device, execution = self.device, self.execution
        if not execution.static:
            reserve = execution.reserve_output
            return [
                (job, job.request.prompt_tokens + device.longest_output(job.request) if reserve else 0)
                for job in chosen
            ]
        size = width = longest = kept = 0
        for count, job in enumerate(chosen, start=1):
            width = max(width, job.context)
            longest = max(longest, device.longest_output(job.request))
            blocks = count * -(-(width + longest) // self.kv.block_size)
            if blocks > self.kv.free or (count > 1 and width + longest > device.max_model_len):
                break
            size, kept, widest = count, width + longest, width
        for job in chosen[:size]:
            job.padding = widest - job.context
        return [(job, kept) for job in chosen[:size]]

    def _enter(self, plan: Plan, job: Job, reserved: int, budget: int) -> int:
        """Admit `job` if its tokens and blocks can be had; the tokens that it gets in this step, 0 if it stays out."""
        kv = self.kv
        found = () if reserved or job.base_computed else kv.find(job)
        computed = job.base_computed or len(found) * kv.block_size
        new = self._chunk(job, job.context - computed)
        if new > budget:
            if not self.execution.chunked_prefill:
                return 0
            new = budget
        spare = self._spare if self.running else 0
        if kv.missing(job, reserved or job.context, found) + spare > kv.free:
            return 0
        self.waiting.remove(job)
        self.running[job] = self.explicit[job] = None
        self._places += 1
        job.place = self._places
        job.base_computed = computed
        job.reserved = reserved > 0
        kv.hold(job, reserved or computed + new, found)
        plan.moved_tokens += job.host_tokens
        job.host_tokens = 0
        if job.first_scheduled is None:
            job.first_scheduled = plan.start
        plan.grants[job] = new
        plan.admitted = True
        return new

    def _price(self, plan: Plan) -> None:
        """When `plan` ends, and of how many steps it is."""
        prefill_tokens = prefill_attended = 0
        jobs, context = (self.lockstep.rows, self.lockstep.context) if plan.decodes else (0, 0)
        for job, new in plan.grants.items():
            if new == 1:
                jobs += 1
                context += job.base_computed + 1
            else:
                prefill_tokens += new
                prefill_attended += attended_tokens(new, job.base_computed)
        cost = self.policy.overhead
        decided = plan.admitted or bool(plan.preempted)
        plan.overhead = decided * cost.decision_seconds + cost.rank_seconds * self.waiting.ranked
        self.waiting.ranked = 0
        self.overhead_seconds += plan.overhead
        plan.step = Step(prefill_tokens, prefill_attended, jobs, context, plan.moved_tokens)
        if prefill_tokens or plan.moved_tokens or plan.overhead or not jobs:
            self._stretch = None
            plan.end = plan.start + (plan.overhead + self.device.profile.step_time(plan.step))
            return
        stretch = self._stretch
        if stretch is None or not stretch.continues(plan.start, jobs, context):
            line = self.device.profile.decode_line(jobs, context)
            stretch = self._stretch = Stretch(plan.start, jobs, context, line)
        if self._leap and not plan.grants:
            plan.steps = self._leap_steps(stretch)
        plan.end = stretch.end(stretch.done + plan.steps)

    def _leap_steps(self, stretch: Stretch) -> int:
        """For how many steps nothing can change: nobody ends, memory and the profile's line last, ranks hold."""
        steps = min(self.lockstep.ticks_to_end, stretch.steps - stretch.done)
        if self.waiting and self._open():
            if self.kv.shares_output:
                return 1
            if self._horizon < math.inf:
                steps = min(steps, int(self._ranked_at + self._horizon) - self._steps)
        if steps <= 1:
            return 1
        return 1 + self.kv.ticks_within(self.lockstep.tick + 1, steps - 1)

    # While a plan is under way

    def _cut(self, now: float) -> None:
        """End the leap under way with the step under way at `now`."""
        plan, stretch, end = self._plan, self._stretch, self._end
        assert plan is not None and stretch is not None and end is not None
        steps = stretch.steps_by(now) - stretch.done
        if steps < plan.steps:
            plan.steps = steps
            plan.end = stretch.end(stretch.done + steps)
            self._end = At(self.env, plan.end, LATE)
            self._end.callbacks, end.callbacks = end.callbacks, []  # the loop now waits for the nearer end

    def settle(self) -> None:
        """Bring the state up to date in the middle of a leap: the steps that are over are over."""
        plan, stretch = self._plan, self._stretch
        if plan is not None and plan.steps > 1:
            assert stretch is not None
            self._pass(plan, stretch.steps_by(self.env.now) - stretch.done - 1)

    def _pass(self, plan: Plan, steps: int) -> None:
        """The first `steps` steps of a leap are over, and the one after them is under way."""
        stretch, lockstep = self._stretch, self.lockstep
        assert stretch is not None
        unit = 1 if self.recorder.keeps_steps else steps
        for _ in range(0, steps, unit or 1):
            stretch.done += unit
            end = stretch.end(stretch.done)
            if self.recorder.keeps_steps:
                self.recorder.step(self, plan, end)
            lockstep.advance(unit)
            self.kv.grow(lockstep.tick - unit + 1, unit)
            plan.start = end
            plan.step = Step(decode_jobs=lockstep.rows, decode_context=lockstep.context)
        plan.steps -= steps
        self._steps += steps

    # Commit

    def commit(self, plan: Plan) -> None:
        """The plan is carried out: tokens are computed, some are emitted, jobs that are through leave."""
        lockstep, now, static = self.lockstep, plan.end, self.execution.static
        if plan.steps > 1:
            self._pass(plan, plan.steps - 1)
        if self.recorder.keeps_steps:
            self.recorder.step(self, plan, now)
        if self._stretch is not None:
            self._stretch.done += 1
        self._steps += 1
        if plan.decodes:
            lockstep.advance(1)
        leaving: list[Job] = []
        for job, new in plan.grants.items():
            job.base_computed += new
            if job.base_computed < job.context:
                continue
            del self.explicit[job]
            job.base_emitted += 1
            if job.first_token is None and not static:
                job.first_token = now
            if job.prefill_only:
                leaving.append(job)
                continue
            lockstep.join(job)
            if not job.reserved:
                self.kv.enlist(job, lockstep.tick)
        ended = lockstep.ended()
        if static and ended:
            self._complete += len(ended)
            ended = [job for job in self.running if job.lockstep] if self._complete == lockstep.rows else []
        for job in sorted(leaving + ended, key=lambda job: job.place) if leaving else ended:
            self._retire(job, now)
        if not self.running:
            self._complete = 0

    def _retire(self, job: Job, now: float) -> None:
        """Let `job` go, whose leg is over."""
        del self.running[job]
        if job.lockstep is not None:
            self.lockstep.leave(job)
            if not job.reserved:
                self.kv.dismiss(job, self.lockstep.tick)
        self.kv.release(job)
        job.base_computed -= job.padding
        job.padding = 0
        job.overhead_seconds += self.overhead_seconds
        if job.complete:
            job.finished = now
            if job.first_token is None:
                job.first_token = now
        self._leave(job)


class View:
    """What a routing may see of a replica; implements `sim.policy.ReplicaView`."""

    __slots__ = ("_replica", "kind", "name")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.name = replica.device.name
        self.kind = replica.device.kind

    @property
    def waiting(self) -> int:
        return len(self._replica.waiting)

    @property
    def running(self) -> int:
        return len(self._replica.running)

    @property
    def submitted(self) -> int:
        return self._replica.submitted

    @property
    def free_blocks(self) -> int:
        self._replica.settle()
        return self._replica.kv.free

    def cached_tokens(self, job: Job) -> int:
        self._replica.settle()
        return len(self._replica.kv.find(job)) * self._replica.kv.block_size
