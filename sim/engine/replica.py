"""A replica: one device that serves jobs in steps: plan, let the step pass, carry it out.

Nobody can tell when a replica does its work, as long as it has done what is past when somebody looks. So it does
nothing by itself: it is advanced to the present whenever a job comes or a routing looks at it, and at the end. Only
where the end of a step starts something elsewhere (a job's next leg, the next request of a closed loop) does it ask
SimPy to be woken in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import simpy

from sim.decoding import priced
from sim.device import Device
from sim.engine.clock import LATE, Clock
from sim.engine.hosted import hosted
from sim.engine.plan import NOTHING, Plan
from sim.engine.recorder import Recorder
from sim.engine.scheduler import Scheduler
from sim.engine.stretch import Stretch, Stretches
from sim.engine.work import work_of
from sim.execution import RequestLevel
from sim.job import Job
from sim.policy import Policy
from sim.request import Request
from sim.step import Step


class Replica:
    """A device under a policy, and the time that passes there. `leave` is called with each job whose leg is over."""

    def __init__(
        self,
        clock: Clock,
        number: int,
        device: Device,
        policy: Policy,
        recorder: Recorder,
        leave: Callable[[Job], None],
        leap: bool,
        walk: bool = False,
    ) -> None:
        scheduler = Scheduler(device, policy, together=not walk)
        self.clock, self.number = clock, number
        self.device = device
        self.waiting, self.planner = scheduler.waiting, scheduler.planner
        self.batch, self.parked = scheduler.batch, scheduler.parked
        self.submitted: list[float] = []  # when jobs were sent here, s
        self.jobs = 0  # those of them that are here
        self.sending: dict[Job, None] = {}  # jobs whose leg here is over, and whose KV is under way to the next
        self._overhead, self._overhead_seconds = policy.overhead, 0.0  # s of its scheduler's time spent here so far
        self._recorder, self._leave, self._watch = recorder, leave, recorder.watch(scheduler)
        self._leap, self._charges = leap, policy.overhead.charged
        self._link_prices = device.host.link is not None  # copies that steps wait for, and not the profile
        self._new_plan, self._keeps_steps = scheduler.batch.new_plan, recorder.keeps_steps
        self._agenda, self._quiet = scheduler.agenda, not scheduler.parked.attends
        self._decodes_on = self.planner.decodes_on if self._quiet else self._decodes_on_undisturbed
        self._moves = scheduler.planner.moves or not self._quiet  # whether what was decided may not stand
        self._stretch: Stretch | None = None  # the decode steps under way
        self._plan: Plan | None = None  # what is being carried out
        self._until = math.inf  # when what comes after the plan is decided, or a hold ends
        self.stands = math.inf  # until when what is decided stands, and nobody leaves, unless somebody comes, s
        self.counted = False  # whether somebody asks for `stands`; it may be sooner otherwise
        self._awaited = 0  # jobs here whose end starts something elsewhere
        self._execution = execution = (device.batching or policy.batching).execution
        self._ahead = 0 if isinstance(execution, RequestLevel) else execution.plans_ahead
        profile = device.profile if device.decoding is None else priced(device.decoding, device.profile)
        self._profile = hosted(profile, device.host_time, self._ahead)
        self._stretches = Stretches(self._profile, self.batch.lockstep)
        self._uneven, self._servable = profile.uneven, device.surely_servable(execution)

    @property
    def iterations(self) -> int:
        """Steps that are over."""
        return self.waiting.steps - (self._plan is not None and self._plan.steps > 0)

    def check_servable(self, request: Request, emits: int | None) -> None:
        """Raise `Unservable` if a leg of `request` that ends at `emits` tokens (None: all) can never run here."""
        truth = request.truth
        if request.prompt_tokens + truth.output_tokens > self._servable or truth.pauses:
            self.device.check_servable(request, self._execution, emits)

    def submit(self, job: Job, prefill_only: bool) -> None:
        """Let `job` wait here."""
        now: float = self.clock.now
        self.advance(now)
        job.replica = self.number
        job.prefill_only = prefill_only
        if job.queued is None:
            job.queued, job.found = now, len(self.waiting)
        job.overhead_seconds -= self._overhead_seconds
        self.submitted.append(now)
        self.jobs += 1
        if self._plan is None and self._until > now:
            self._until = now  # plan again, once all arrivals of this instant are in
        self.stands = self._until
        pauses = job.true_pauses
        if pauses and self._quiet:
            self._expect_calls()
        if pauses and job.calls_out:
            self.parked.call(job, job.first_token or now)  # as soon as its token was there, and before its KV is
        else:
            self.waiting.push(job, now)
            if self.parked.foresees:
                self.parked.new.append(job)
        self._awaited += job.awaited
        if self._awaited:
            self.clock.at(self._until, self._on_time, LATE)

    def release(self, job: Job) -> None:
        """The KV of `job`, which has left for another leg, has been sent."""
        if job not in self.sending:
            return
        now: float = self.clock.now
        self.settle(now)
        self.let_go(job)
        if self._plan is None and self._until > now and self.waiting.front:
            self._until = self.stands = now  # somebody may find room
            if self._awaited:
                self.clock.at(now, self._on_time, LATE)

    def let_go(self, job: Job) -> None:
        """Take back the blocks of `job`, which was to be sent."""
        del self.sending[job]
        self.batch.kv.release(job)
        self.stands = self._until

    def look(self, now: float) -> None:
        """See that `jobs` are those of `now` (s)."""
        if self.stands < now:
            self.advance(now)

    def advance(self, now: float) -> None:
        """Do all that is over before `now` (s), and see that the step under way then is the last of its plan."""
        while self._until < now:
            self._go_on(now)

    def settle(self, now: float) -> None:
        """Bring the state up to `now` (s) to the step: of a leap under way, what is over is over."""
        self.advance(now)
        plan, lockstep = self._plan, self.batch.lockstep
        if plan is None or plan.steps <= 1:
            return
        assert self._stretch is not None  # for it leaps
        done = self._stretch.done + plan.steps - 1
        over = plan.but_last(self._stretch.end(done), self._stretch.end(done - self._ahead))
        if self._keeps_steps:
            over.waiting = plan.waiting
        self._commit(over)
        lockstep.grow()
        plan.decided, plan.start, plan.steps = over.due, over.end, 1
        proposed, rounds = lockstep.proposals
        plan.step = Step(0, 0, lockstep.rows, lockstep.context, proposed_tokens=proposed, rounds=rounds)

    def _on_time(self, event: simpy.Event) -> None:
        """The end of a plan has come: carry it out at once, for it may start something elsewhere."""
        while self._until <= self.clock.now:
            self._go_on(self.clock.now)

    def _go_on(self, now: float) -> None:
        """Carry out the plan whose time has come, if any, and plan again, knowing of nobody until `now` (s)."""
        start, plan = self._until, self._plan
        self.stands = start
        if plan is not None:
            self._commit(plan)
        if not self.waiting.front and self._decodes_on():
            plan, lockstep = self._new_plan(start), self.batch.lockstep
            longest = lockstep.longest() if self._uneven else 0
            self._decode(plan, lockstep.rows, lockstep.context, longest, lockstep.proposals, now)
        else:
            decision = self.planner.plan(start)
            if isinstance(decision, Plan):
                plan = decision
                self._price(plan, now)
            elif self.batch.busy_until > start:
                plan = self._new_plan(start).until_free()
            else:
                self._plan, self._until = None, min(decision.until, self._agenda.head)
                self.stands = self._until
                if self._watch is not None:
                    self._watch.planned(None, start, self.waiting.steps)
                if self._awaited and self._until < math.inf:
                    self.clock.at(self._until, self._on_time, LATE)
                return
        self._plan, self._until = plan, plan.due if self._ahead else plan.end
        if self.stands < self._until:  # for it is no leap
            self.stands = self._until
        if self._keeps_steps:
            plan.waiting = len(self.waiting)
            if self._watch is not None:
                self._watch.planned(plan, plan.start, self.waiting.steps)
        self.waiting.steps += plan.steps
        if self._awaited:
            self.clock.at(self._until, self._on_time, LATE)

    def _decodes_on_undisturbed(self) -> bool:
        """As the planner's `decodes_on`, unless something has happened."""
        return self._until < self._agenda.head and self.parked.rests and self.planner.decodes_on()

    def _expect_calls(self) -> None:
        """Jobs that call out come back without anybody coming."""
        self._quiet, self._moves, self._decodes_on = False, True, self._decodes_on_undisturbed
        self.planner.attend()

    # Time

    def _price(self, plan: Plan, now: float) -> None:
        """When `plan` ends."""
        work = plan.step = work_of(plan, self.batch.lockstep, self._uneven)
        overhead = self._charge(plan) if self._charges else 0.0
        if not (work.prefill_tokens or overhead or work.moved_tokens) and work.decode_jobs:
            proposals = work.proposed_tokens, work.rounds
            self._decode(plan, work.decode_jobs, work.decode_context, work.decode_longest, proposals, now)
            return
        work, seconds = self._delayed(plan, overhead)
        if work != NOTHING or not self._ahead:  # else somebody had to stop, and nobody else is there
            seconds += float(self._profile.step_time(work))
        plan.due, plan.end, self._stretch = plan.start, plan.start + seconds, None

    def _delayed(self, plan: Plan, overhead: float) -> tuple[Step, float]:
        """The work that `plan` has for the profile, and the seconds before it: for the scheduler, and for copies."""
        work = plan.step
        if self._ahead:  # the device waits for the scheduler only if that takes longer than what is under way
            plan.start, overhead = max(plan.start, plan.decided + overhead), 0.0
        if work.moved_tokens and self._link_prices:
            work, seconds = work._replace(moved_tokens=0), self.parked.host.seconds
            overhead, self.parked.host.seconds = overhead + seconds, 0.0
        return work, overhead

    def _decode(
        self, plan: Plan, jobs: int, context: int, longest: int, proposals: tuple[int, int], now: float
    ) -> None:
        """Price a `plan` in which `jobs` with a total of `context` tokens decode, and nothing else is done.

        It leaps as far as it may, but no further than the step under way at `now` (s), or when ranks stand no longer:
        than that after it, if steps are decided ahead.
        """
        stretch = self._stretch
        spare = jobs * longest - context if longest else 0
        if stretch is None or not stretch.continues(plan.start, jobs, context, spare, proposals):
            stretch = self._stretch = self._stretches.begin(plan.start, jobs, context, longest, proposals)
        if self._keeps_steps:
            plan.step = Step(0, 0, jobs, context, proposed_tokens=proposals[0], rounds=proposals[1])
        until = math.inf  # when something happens without anybody coming, s
        # whom it stopped nobody was refused for, and who departs leaves a seat
        if self._leap and not plan.grants and not plan.preempted and not self.batch.departing:
            plan.steps = self._leap_steps(stretch)
            if self._moves:
                until = self._agenda.head
                if not self._quiet:
                    plan.steps = max(1, int(min(plan.steps, self.parked.lasts)))
                if self.planner.refuses():
                    until = min(until, self.planner.standing.until)
        counted = self.counted and until > now
        until = until if counted else min(until, now)
        if self._ahead:
            plan.steps, plan.due, plan.end = stretch.ahead(plan.start, plan.steps, until)
            self.stands = plan.due
            if counted and plan.due > now:
                plan.steps, plan.due, plan.end = stretch.ahead(plan.start, plan.steps, now)
            return
        plan.steps, plan.end = stretch.until(plan.steps, until)
        self.stands = plan.end
        if counted and plan.end > now:
            plan.steps, plan.end = stretch.until(plan.steps, now)

    def _charge(self, plan: Plan) -> float:
        """The scheduler's own seconds in `plan`."""
        plan.overhead = self._overhead.rank_seconds * self.waiting.ranked
        if plan.admits or plan.preempted:
            plan.overhead += self._overhead.decision_seconds
        self.waiting.ranked = 0
        self._overhead_seconds += plan.overhead
        return plan.overhead

    def _leap_steps(self, stretch: Stretch) -> int:
        """For how many steps nothing can change: nobody ends, memory and the profile's line last, ranks stand."""
        lockstep = self.batch.lockstep
        steps = stretch.within(lockstep.ends[0][0] - lockstep.tick)
        if self.planner.refuses():
            steps = 1 if lockstep.shares_output else max(1, int(min(steps, self.planner.standing.lasts)))
        return steps if steps <= 1 else 1 + lockstep.ticks_within(steps - 1)

    def _commit(self, plan: Plan) -> None:
        """`plan` is over: tokens are computed, some are emitted, jobs that are through leave."""
        if self._keeps_steps:
            self._recorder.steps(self.number, self.batch, plan, self._stretch, self._ahead)
        if self._stretch is not None:
            self._stretch.done += plan.steps
        for job in self.batch.commit(plan):
            self.jobs -= 1
            if self._awaited:
                self._awaited -= job.awaited
            job.overhead_seconds += self._overhead_seconds
            if job.finished is None:
                self.sending[job] = None
            self._leave(job)
