"""Service by rank: running and waiting jobs get tokens, seats and blocks in one order, as in LTR's engine."""

from __future__ import annotations

import math
from typing import Any

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.exchange import Exchanging
from sim.engine.kv import KVCache
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.queue import Entry, WaitingQueue, before
from sim.engine.words import COMING, OUTRANKED, PRESSURE
from sim.execution import IterationLevel
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold

FEW = 8  # waiting jobs at each of which it is worth a look whether there is enough for all


class Ranked(Exchanging):
    """Serves all jobs, best rank first, until tokens or seats run out; a running job that gets no token stops.

    Blocks that are short are taken from those behind, the worst first. Of equal rank those that run go first. A waiting
    job that may not enter holds up those that wait behind it, and nobody who runs. Where there is enough for all that
    run, and for whoever waits and may rank before one of them, they are served alike: the order makes no difference.
    """

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
        self._unserved: dict[Job, Entry] = {}  # running jobs whose turn is to come in this plan, the worst first
        self._behind: Any = None  # the worst rank of those that run, as long as it would be one of these
        # whether blocks are alike, and each decoding job takes a token a step
        self._counted = type(self.batch.kv) is KVCache and self.device.decoding is None

    def plan(self, now: float) -> Plan | Hold:
        plan = self._new_plan(now)
        hold = (self._admit if self.waiting.front else self._exchange)(plan, self.budget)
        if plan.preempted:
            self._settled = None
        if self.batch.running and not (self._may_stall and self._stalls(plan)):
            return plan
        return plan if plan.preempted or plan.moved_tokens else hold or Hold(math.inf)

    def _exchange(self, plan: Plan, budget: int) -> Hold | None:
        """Serve all, alike or by rank."""
        self._behind = None
        if self._overtakes():
            return (
                super()._exchange(plan, budget - self.batch.lockstep.rows) if self._suffices() else self._by_rank(plan)
            )
        rest = self._serve(plan) if self.batch.running else budget
        return self._by_rank(plan) if rest < 0 else super()._exchange(plan, rest)

    def _suffices(self) -> bool:
        """Give each of those that run its token and block, if they all decode and what is left is enough for who waits.

        The ranks that tell whose turn it would be are charged nevertheless.
        """
        batch, waiting, kv = self.batch, self.waiting, self.batch.kv
        seats, tokens = self._seats - len(batch.running), self.budget - batch.lockstep.rows
        if batch.by_name or not self._counted or len(waiting) > min(seats, FEW):
            return False
        blocks = self._spare
        for _, _, _, job in waiting.entries():
            tokens -= min(job.context - job.base_computed, self._threshold)
            blocks += kv.missing(job, self._reservation(job) if self.execution.reserve_output else job.context)
            if tokens < 0 or job.host_tokens:
                return False
        if not batch.lockstep.grow(blocks):
            return False
        self.ranked.bound = self._behind = waiting.worst(batch.running, self.ranked.now)
        return True

    def _overtakes(self) -> bool:
        """Whether a waiting job may rank before one that runs; not if it was refused, and all that run just decode."""
        front, bound, batch = self.waiting.front, self.ranked.bound, self.batch
        if not (batch.running and front) or bound is None or not before(front[0][0], bound):
            return False
        return not self._stood or bool(batch.by_name) or batch.lockstep.shares_output

    def _serve_in_order(self, plan: Plan) -> int:
        """As in `Planner`, if there is enough for all; -1 if not."""
        batch, kv = self.batch, self.batch.kv
        batch.dissolve()
        tokens = blocks = 0
        for job in batch.running:
            chunk = self._next(job)
            tokens += chunk
            blocks += kv.missing(job, job.base_computed + chunk)
        return super()._serve_in_order(plan) if tokens <= self.budget and blocks <= kv.free else -1

    def _is_last(self, job: Job) -> bool:
        """Nobody is: whose tokens are cut short is a matter of rank."""
        return False

    def _by_rank(self, plan: Plan) -> Hold | None:
        """Serve all in one order, and stop those who run and get nothing."""
        batch, waiting = self.batch, self.waiting
        batch.dissolve()
        if not waiting.front:
            self.ranked.refresh(plan.decided)
        entries = sorted([waiting.entry(job, plan.decided) for job in batch.running], reverse=True)
        self.ranked.bound = entries[0][0]
        self._unserved = {entry[3]: entry for entry in entries}
        hold = super()._exchange(plan, self.budget)
        back = len(plan.preempted)
        self._serve_next(plan, self.budget - sum(plan.grants.values()))
        for job in self._unserved:
            self._stop(plan, job, OUTRANKED)
        self._unserved = {}
        for job in plan.preempted[back:]:
            self._wait(job, plan.decided)
        return hold

    def _serve_next(self, plan: Plan, budget: int, coming: Any = None) -> int:
        """Serve the running jobs whose turn it is, as long as none that is `coming` ranks before; the budget left."""
        kv, parked, unserved = self.batch.kv, self.parked, self._unserved
        running, seats = self.batch.running, self._seats
        while unserved and budget > 0 and len(running) - len(unserved) < seats:
            job, entry = unserved.popitem()
            if coming is not None and coming < entry[0]:
                unserved[job] = entry
                break
            new = self._within(job, budget)
            if new == 0:
                continue  # its pass is not divisible: it stands back in this step
            while (short := kv.missing(job, job.base_computed + new) - kv.free) > parked.host.leaving:
                givers = self._givers()
                if not givers:
                    self._stop(plan, job, PRESSURE)
                    return budget
                self._evict(plan, parked.worst(givers, plan.decided))
            if short > 0:
                continue  # until what is on its way to the host is there
            kv.allocate(job, job.base_computed + new)
            plan.grants[job] = new
            budget -= new
        return budget

    def _come(self, plan: Plan, job: Job, budget: int) -> tuple[bool, int]:
        """Admit `job` when its turn has come, if it fits then with what those behind it hold."""
        unserved = self._unserved
        if unserved:
            budget = self._serve_next(plan, budget, self.waiting.known(job, plan.decided)[0])
        elif self._behind is not None and not self.waiting.known(job, plan.decided)[0] < self._behind:
            self._behind = None
        if budget > 0 and len(self.batch.running) - len(unserved) < self._seats:
            new = self._enter(plan, job, budget)
            if new > 0:
                self.ranked.join(job, plan.decided)
                return True, budget - new
            return new == COMING, budget
        return False, budget

    def _givers(self) -> list[Job]:
        """As in `Exchanging`, and running jobs whose turn is to come."""
        return [*self.parked.idle, *self._unserved]

    def _evict(self, plan: Plan, job: Job) -> None:
        if self._unserved.pop(job, None) is None:
            super()._evict(plan, job)
        else:
            self._stop(plan, job, PRESSURE)
