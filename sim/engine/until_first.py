"""Request-level batches that are over when their first row is complete: the others wait again, with what they have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.queue import WaitingQueue
from sim.engine.static import StaticBatch, StaticPlanner
from sim.engine.words import OUTRANKED
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold


class UntilFirstBatch(StaticBatch):
    """It is `over` when somebody has left; the rows that are not complete stay until the next plan."""

    def __init__(self, kv: KVCache, lockstep: Lockstep) -> None:
        super().__init__(kv, lockstep)
        self.over = False

    def commit(self, plan: Plan) -> list[Job]:
        leaving = super().commit(plan)
        self.over = bool(leaving or self.called)
        return leaving

    def _keep(self, job: Job) -> None:
        """What it has computed itself."""
        self.kv.release(job)
        self.kv.allocate(job, job.base_computed)

    def _ended(self) -> list[Job]:
        """Those that are complete, alone."""
        return Batch._ended(self)


class UntilFirstPlanner(StaticPlanner):
    """As `StaticPlanner`; between two batches the eviction says what becomes of the KV of those who do not go on.

    KV of waiting jobs gives way to the rows of a batch, the worst in rank first.
    """

    def __init__(
        self, device: Device, batching: Batching, waiting: WaitingQueue, batch: UntilFirstBatch, parked: Parked
    ) -> None:
        super().__init__(device, batching, waiting, batch, parked)
        self._rows_batch = batch

    def decodes_on(self) -> bool:
        return not self._rows_batch.over and super().decodes_on()

    def plan(self, now: float) -> Plan | Hold:
        plan = Plan(now)
        if self.batch.running and not self._rows_batch.over:
            self.parked.arrive(now)
            return self._next(plan)
        hold = Hold(math.inf)
        self.parked.call_out(plan)
        left = self._disband(now)
        self.parked.attend(plan)
        chosen: Sequence[Job] | Hold = ()
        if self.waiting.front:
            chosen = self.waiting.select(self.batch.running.keys(), now)
        if isinstance(chosen, Hold):
            hold, chosen = chosen, ()
        held = sum(job.blocks for job in [*left, *self.parked.idle])
        rows = self._rows(chosen[: self.batching.execution.max_num_seqs], self.batch.kv.free + held)
        width = max((job.context for job in rows), default=0)
        for job in rows:
            job.padding = 0  # until it is known who is there
        self._part(plan, left, rows)
        if self._has_room(plan, rows, width):
            self._begin(plan, rows)
        return plan if self.batch.running or plan.moved_tokens else hold

    def _later(self, one: int, other: int) -> int:
        return min(one, other)

    def _disband(self, now: float) -> list[Job]:
        """Nobody runs any longer: those who were left wait, and hold the KV of what they have computed, unpadded."""
        waiting, batch = self.waiting, self._rows_batch
        left = list(batch.running)
        batch.dissolve()
        batch.over = False
        for job in left:
            waiting.note(job, now)
            batch.stop(job)
            job.base_computed -= job.padding
            job.padding = 0
            batch.kv.release(job)
            batch.kv.allocate(job, job.base_computed)
            waiting.push(job, now)
        return left

    def _part(self, plan: Plan, left: Sequence[Job], rows: Sequence[Job]) -> None:
        """Of those who were `left` let `rows` keep their KV, and ask what becomes of that of the others."""
        for job in left:
            if job in rows:
                self.parked.idle[job] = None
                continue
            job.preemptions += 1
            plan.preempted += (job,)
            self.parked.stop(plan, job, OUTRANKED)
            self._withdraw(job, plan.decided)

    def _withdraw(self, job: Job, now: float) -> None:
        """Let `job` wait no longer if its KV is under way: it does again when that has come."""
        if job in self.parked.host.moving:
            self.waiting.withdraw(job, now)

    def _has_room(self, plan: Plan, rows: Sequence[Job], width: int) -> bool:
        """Whether memory lasts for `rows` of `width` tokens, after others that wait have given theirs for it.

        If that is on its way to the host, not yet.
        """
        parked = self.parked
        while (short := self._missing(rows, width)) > 0:
            others = [job for job in parked.idle if job not in rows]
            if short <= parked.host.leaving or not others:
                return False
            worst = parked.worst(others, plan.decided)
            parked.evict(plan, worst)
        return True

    def _missing(self, rows: Sequence[Job], width: int) -> int:
        """Blocks that are not free and that `rows` of `width` tokens take until the first is complete."""
        size = -(-(width + min(map(self._ahead, rows), default=0) - 1) // self.batch.kv.block_size)
        return sum(max(0, size - job.blocks) for job in rows) - self.batch.kv.free

    def _begin(self, plan: Plan, rows: Sequence[Job]) -> None:
        """Let `rows` run, padded, but for those whose KV is on its way back from now on.

        The batch may last longer without them: then memory may last for the first of the others alone, or for nobody.
        """
        kv, host = self.batch.kv, self.parked.host
        here = []
        for job in rows:
            if job.host_tokens:
                kv.allocate(job, job.host_tokens)
                if not host.back(plan, job):
                    self._withdraw(job, plan.decided)
                    continue
            here.append(job)
        width = max((job.context for job in here), default=0)
        while len(here) < len(rows) and self._missing(here, width) > 0:
            here.pop()
            width = max((job.context for job in here), default=0)
        for job in here:
            job.padding = width - job.context
            self.parked.idle.pop(job, None)
            self._enter(plan, job)
