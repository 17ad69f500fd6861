"""Preemption as an exchange: a running job stops for a waiting one that lacks a seat, tokens or blocks."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterator
from typing import Any

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.lockstep import Lockstep
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.planner import Planner
from sim.engine.queue import Entry, WaitingQueue, before
from sim.engine.words import BLOCKS, COMING, OUTRANKED, SEATS, SOON, TOKENS
from sim.execution import IterationLevel
from sim.job import Job
from sim.policy import ALWAYS, Batching
from sim.step import Hold


class RankedRunning:
    """Implements `sim.policy.Running`: the running jobs, and for how long their ranks stand.

    While a rank stands it can only improve. So what was the worst once is a bound until a job joins, or a rank stands
    no longer; who does not come before the bound outranks nobody.
    """

    def __init__(self, waiting: WaitingQueue, running: dict[Job, None], lockstep: Lockstep) -> None:
        self.now = 0.0
        self.before = 0  # the number of the last admission before this step
        self.bound: Any = None  # no rank of a job that runs is worse
        self._waiting = waiting
        self._running = running
        self._lockstep = lockstep
        self._due: dict[Job, tuple[int, float, float, float]] = {}  # admission; instant, tokens and steps of its end
        self._instant = self._step = math.inf  # all that are due stand until then, or longer
        self._asked = -1  # the steps begun when all were asked, by an order that does not say how long ranks stand
        self._sorted: list[Entry] = []  # of all that run, once somebody has asked; of those who had to stop since, too

    def begin(self, now: float, admissions: int) -> None:
        """From `now` (s) on it is asked in a step before which there were so many `admissions`."""
        self.now, self.before = now, admissions
        self._sorted.clear()

    def __iter__(self) -> Iterator[Job]:
        return (job for job in self._running if job.admission <= self.before)

    def rank(self, job: Job) -> Any:
        return self._waiting.entry(job, self.now)[0]

    def outranked(self, incoming: Job) -> Job | None:
        rank: Any = next((entry[0] for entry in self._waiting.front if entry[3] is incoming), None)
        if rank is None:
            raise ValueError(f"{incoming} does not wait among the first")
        if self.bound is None or not self._running or not before(rank, self.bound):
            return None
        ranked, running, entries = self._waiting.ranked, self._running, self._sorted
        if not entries:
            entries += sorted([self._waiting.entry(job, self.now) for job in running])
        self._waiting.ranked = ranked + len(running)  # as if each had been asked for
        while entries[-1][3] not in running:
            entries.pop()
        self.bound = entries[-1][0]
        for entry in reversed(entries):
            job: Job = entry[3]
            if 0 < job.admission <= self.before:
                return job if before(rank, entry[0]) else None
        return None

    def join(self, job: Job, now: float) -> None:
        """`job` runs from `now` (s) on, or its rank stands no longer."""
        waiting = self._waiting
        order: Any = waiting.order  # as in `WaitingQueue.entry`
        waiting.ranked += 1
        rank = order.rank(job, now)
        if self.bound is None or self.bound < rank:
            self.bound = rank
        if self._sorted:
            insort(self._sorted, (rank, job.request.arrival, job.request.id, job))
        if waiting.anew:
            return
        stands = order.stands(job, now)
        if stands is ALWAYS:
            return
        instant, tokens, steps = stands
        if not (instant > now and tokens >= 1 and steps >= 1):
            until = f"the rank of {job} at {now} s is to stand until {instant} s, {tokens} tokens, {steps} steps"
            raise RuntimeError(f"{type(waiting.order).__name__}.stands: {until}")
        if instant < math.inf or tokens < math.inf or steps < math.inf:
            self._expect(job, instant, tokens, job.emitted + tokens, waiting.steps + steps)

    def _expect(self, job: Job, instant: float, tokens: float, emitted: float, steps: float) -> None:
        """The rank of `job` stands until then: for so many `tokens` from now on, until it has `emitted` so many."""
        self._due[job] = (job.admission, instant, emitted, steps)
        if instant < self._instant:
            self._instant = instant
        soonest = self._waiting.steps + (tokens - self._lockstep.ahead) / self._lockstep.most  # it emits no faster
        if soonest < steps:
            steps = soonest
        if steps < self._step:
            self._step = steps

    def refresh(self, now: float) -> bool:
        """Ask anew for how long ranks stand that do no longer; whether there are any."""
        waiting, running, due = self._waiting, self._running, self._due
        if waiting.anew and running:
            if self._asked == waiting.steps:
                return False  # planned again, for the step could do nothing
            self._asked = waiting.steps
            if waiting.notes is not None:
                for job in running:
                    waiting.note(job, now)
            worst = waiting.worst(running, now)
            if self.bound is None or before(self.bound, worst):
                self.bound = worst
            return True
        if now < self._instant and waiting.steps < self._step and len(due) <= 2 * len(running):
            return False
        found = False
        self._due, self._instant, self._step = {}, math.inf, math.inf
        for job, (admission, instant, emitted, steps) in due.items():
            if job not in running or job.admission != admission:
                continue  # who runs elsewhere may have the same number there
            tokens = emitted - job.emitted if emitted < math.inf else emitted
            if instant <= now or tokens <= 0 or steps <= waiting.steps:
                found = True
                waiting.note(job, now)
                self.join(job, now)
            else:
                self._expect(job, instant, tokens, emitted, steps)
        return found

    @property
    def lasts(self) -> float:
        """For how many steps all ranks stand, of those who wait too."""
        return min(self._waiting.lasts, self._step - self._waiting.steps)

    @property
    def until(self) -> float:
        """Until which instant they do, s."""
        return min(self._waiting.until, self._instant)


class Exchanging(Planner):
    """A planner whose batching may name a running job that stops for the one that is to enter."""

    def __init__(
        self,
        device: Device,
        execution: IterationLevel,
        batching: Batching,
        parked: Parked,
        waiting: WaitingQueue,
        batch: Batch,
        together: bool,
    ) -> None:
        super().__init__(device, execution, batching, parked, waiting, batch, together)
        self.standing = self.ranked = RankedRunning(self.waiting, self.batch.running, self.batch.lockstep)
        self.moves = True
        self._settled: tuple[int, int, int] | None = None  # what a refusal rested on
        self._stood = False  # whether the last refusal still stands, as far as ranks go

    def refuses(self) -> bool:
        """Whether somebody waits: he might come in another's place."""
        return bool(self.waiting.front)

    def plan(self, now: float) -> Plan | Hold:
        """As in `Planner`; those who wait are considered though seats and tokens are short."""
        plan = self._new_plan(now)
        running, hold = self.batch.running, None
        budget = self._serve(plan) if running else self.budget
        if plan.preempted:
            self._settled = None
        elif self.waiting.front:
            hold = self._admit(plan, budget)
        if running and not (self._may_stall and self._stalls(plan)):
            return plan
        return plan if plan.preempted or plan.moved_tokens else hold or Hold(math.inf)

    def _admit(self, plan: Plan, budget: int) -> Hold | None:
        """As in `Planner`. The ranks that a refusal takes are charged once, as long as it stands."""
        waiting, ranked = self.waiting, self.ranked
        charged = waiting.ranked
        ranked.begin(plan.decided, self.batch.admissions)
        waiting.refresh(plan.decided)
        moved = ranked.refresh(plan.decided) or waiting.ranked != charged
        self._stood = not moved and self._state() == self._settled
        kept = waiting.ranked, ranked.bound
        hold = self._exchange(plan, budget)
        if self._stood and self._state() == self._settled:
            waiting.ranked, ranked.bound = kept
        self._settled = self._state()
        return hold

    def _state(self) -> tuple[int, int, int]:
        return len(self.waiting), self.batch.admissions, len(self.batch.running)

    def _exchange(self, plan: Plan, budget: int) -> Hold | None:
        """Admit waiting jobs as the batching selects them, each in the place of those that it names."""
        waiting, running = self.waiting, self.batch.running
        while waiting.front:
            left_out, stopped = len(waiting.front), len(plan.preempted)
            chosen = waiting.select(running.keys(), plan.decided)
            if isinstance(chosen, Hold):
                return chosen
            for job in chosen:
                if job in plan.preempted:  # it had to go in this very step
                    break
                entered, budget = self._come(plan, job, budget)
                if entered:
                    left_out -= 1
                elif not self.execution.skip_unfit:
                    break
            if len(plan.preempted) > stopped:
                for victim in plan.preempted[stopped:]:
                    self._wait(victim, plan.decided)  # behind those that were shown
            if left_out:
                return None
        return None

    def _come(self, plan: Plan, job: Job, budget: int) -> tuple[bool, int]:
        """Admit `job`, in the place of others if need be: whether it entered, and the budget (tokens) that is left."""
        while True:
            lacks = SEATS
            if len(self.batch.running) < self._seats:
                new = self._enter(plan, job, budget) if budget > 0 else 0
                if new > 0:
                    self.ranked.join(job, plan.decided)
                    return True, budget - new
                if new in (COMING, SOON):
                    return new == COMING, budget
                lacks = BLOCKS if new else TOKENS
            batching: Any = self.batching  # what it says is looked at before it is believed
            victim: Any = batching.victim(job, self.ranked, lacks, plan.decided)
            if victim is None:
                return False, budget
            self._check(victim, plan.decided)
            budget += self._stop(plan, victim, OUTRANKED)

    def _check(self, victim: Any, now: float) -> None:
        """RuntimeError unless `victim` runs, and did before this step."""
        runs = victim in self.batch.running
        if not runs or victim.admission > self.ranked.before:
            why = "was admitted in this very step" if runs else "does not run"
            raise RuntimeError(f"{type(self.batching).__name__}.victim names {victim} at {now} s, which {why}")
