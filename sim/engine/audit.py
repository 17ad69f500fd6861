"""What the KV cache of a replica is used for, over time: each token slot is in exactly one use at a time.

The tokens that a step computes are in their slots from its start. What is counted of the jobs must add up to what the
cache counts itself: an audit that does not close ends the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.cadence import Cadence
from sim.engine.clock import Clock
from sim.engine.plan import Plan
from sim.engine.reached import Reached
from sim.engine.recorder import Recorder
from sim.engine.replica import Replica
from sim.engine.work import useful
from sim.job import Job
from sim.policy import Policy
from sim.record import AUDIT_COLUMNS, Table, Use
from sim.step import Step


class Audit:
    """Token-seconds of a KV cache by use, up to the instant `since` (s), and those of them that passed in vain.

    `delayed` is for how much of the time of its first step a plan was held up, from 0 to 1: such token-seconds are
    counted a second time, as `held_up`.

    `waiting` and those in `moving` are the jobs that hold blocks and do not run: because they wait with their KV kept,
    or because it is being sent or comes.
    """

    def __init__(self, name: str, batch: Batch, waiting: Collection[Job], *moving: Collection[Job]) -> None:
        self.since = 0.0
        self.token_seconds = [0.0] * len(Use)
        self.held_up = [0.0] * len(Use)
        self._name = name
        self._batch = batch
        self._waiting = waiting
        self._moving = moving
        self.reached = Reached()

    @property
    def capacity(self) -> int:
        """The token slots of the device."""
        return self._batch.kv.total * self._batch.kv.block_size

    def slots(self, plan: Plan | None, before: int = 0) -> list[int]:
        """The slots in each use, in the step of `plan` after so many `before`, or (None) while nothing is done."""
        kv = self._batch.kv
        size = kv.block_size
        slots = [0] * len(Use)
        counted: set[Any] = set()
        for use, job, held, tokens, padding in sorted(self._holdings(plan, before), key=lambda held: held[0]):
            blocks = max(held, -(-tokens // size))
            full = new = 0
            for run in kv.shared(job):
                full += run.blocks
                if run not in counted:
                    counted.add(run)
                    new += run.blocks
            private = max(0, tokens - padding - full * size)
            slots[use] += new * size + private
            slots[Use.FRAGMENTATION] += (blocks - full) * size - private
        slots[Use.FREE] = (kv.free - self._batch.lockstep.growth(before)) * size
        if sum(slots) != self.capacity:
            uses = ", ".join(f"{use.name.lower()} {held}" for use, held in zip(Use, slots, strict=True))
            raise RuntimeError(
                f"the KV of {self._name} after {self.since} s adds up to {sum(slots)} of {self.capacity} tokens: {uses}"
            )
        return slots

    def _holdings(self, plan: Plan | None, before: int) -> Iterator[tuple[Use, Job, int, int, int]]:
        """Who holds blocks: the use of its tokens, the job, its blocks, slots filled, those of them with padding."""
        grants, decodes = (plan.grants, plan.decodes) if plan is not None else ({}, False)
        lockstep = self._batch.lockstep
        for job in self._batch.running:
            if job.lockstep is None:
                use, filled = self._use(job), job.base_computed + grants.get(job, 0)
            else:
                use, filled = Use.DECODE, job.computed + decodes
            blocks = job.blocks
            if job.lockstep is not None and isinstance(lockstep, Cadence):
                filled, blocks = lockstep.room(job, before, decodes)
            beyond = filled - job.padding - (job.given + job.ends_at - 1)
            yield use, job, blocks, filled, job.padding + max(0, beyond)
        for job in self._waiting:
            yield Use.WAITING if job.paused is None else Use.PAUSED, job, job.blocks, job.base_computed, 0
        for job in chain(*self._moving):
            yield Use.TRANSFER, job, job.blocks, job.base_computed or job.host_tokens, 0

    def _use(self, job: Job) -> Use:
        """What the tokens of `job` are used for, which is granted its tokens by name."""
        if self.reached.anew(job):
            return Use.RECOMPUTE
        return Use.DECODE if job.base_emitted and job.pending == 1 else Use.PREFILL

    def spend(self, plan: Plan | None, until: float, delayed: float = 0.0) -> None:
        """Up to `until` (s) the first step of `plan` went on, or nothing did."""
        self._add(self.slots(plan), until, delayed)

    def steps(self, plan: Plan, ends: Iterable[float], delayed: float = 0.0) -> None:
        """The steps of `plan` ended at these instants (s); nothing of it is written into its jobs so far."""
        lockstep, size = self._batch.lockstep, self._batch.kv.block_size
        first = self.slots(plan)
        rows = len(lockstep.ends)  # less those of a static batch that are complete
        for number, end in enumerate(ends):
            slots = first
            if number and isinstance(lockstep, Cadence):
                slots = self.slots(plan, number)
            elif number:
                slots = first.copy()
                taken = lockstep.growth(number) * size
                tokens = rows * number - (self._in_vain(plan.steps) if number == plan.steps - 1 else 0)
                slots[Use.DECODE] += tokens
                slots[Use.FRAGMENTATION] += taken - tokens
                slots[Use.FREE] -= taken
            self._add(slots, end, 0.0 if number else delayed)

    def _in_vain(self, ticks: int) -> int:
        """The jobs in lockstep that are complete before the last of so many ticks: steps were decided ahead."""
        lockstep = self._batch.lockstep
        if not lockstep.ahead:
            return 0
        reached = lockstep.tick + ticks
        return sum(reached - job.entered > job.ends_at for _, _, job in lockstep.ends)

    def _add(self, slots: Sequence[int], until: float, delayed: float) -> None:
        seconds = until - self.since
        self.since = until
        for use, held in enumerate(slots):
            if held:
                self.token_seconds[use] += held * seconds
                if delayed:
                    self.held_up[use] += held * seconds * delayed

    def note(self, jobs: Iterable[Job]) -> None:
        """Keep how far `jobs` have come that were just granted tokens: what they lose of it they compute anew."""
        for job in jobs:
            if job.pending > 1:
                self.reached.note(job, job.base_computed)
            else:
                self.reached.forget(job)


class AuditedReplica(Replica):
    """A replica whose memory is audited; it does the same as any other."""

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
        super().__init__(clock, number, device, policy, recorder, leave, leap, walk)
        parked = self.parked
        self.audit = Audit(self.device.name, self.batch, parked.idle, parked.host.moving, self.sending)
        self._copying = 0.0  # for which the step that was priced last waits for copies, s

    def release(self, job: Job) -> None:
        if job in self.sending:
            self.settle(self.clock.now)
            self.audit.spend(self._plan, self.clock.now, self._held_up(self._plan))
        super().release(job)

    def _go_on(self, now: float) -> None:
        if self._plan is None:
            self.audit.spend(None, self._until)
        super()._go_on(now)

    def _commit(self, plan: Plan) -> None:
        self.audit.steps(plan, self._ends(plan), self._held_up(plan))
        super()._commit(plan)
        self.audit.note(plan.grants)

    def _ends(self, plan: Plan) -> Iterator[float]:
        """When what each step of `plan` holds is held no longer: at its end, or when the next is decided, s."""
        stretch, ahead = self._stretch, self._ahead
        if stretch is not None:
            yield from (stretch.end(stretch.done + number - ahead) for number in range(1, plan.steps))
        yield plan.due if ahead else plan.end

    def _delayed(self, plan: Plan, overhead: float) -> tuple[Step, float]:
        self._copying = self.parked.host.seconds
        return super()._delayed(plan, overhead)

    def _held_up(self, plan: Plan | None) -> float:
        """By how much of its time the first step of `plan` is longer for what it computes anew, and for copies."""
        if plan is None or not (plan.grants or plan.moved_tokens) or plan.end == plan.start:  # a copy may take no time
            return 0.0
        work = useful(plan, self.audit.reached.anew)
        if work == plan.step or plan.end == plan.start:
            return 0.0
        copied = self._copying if plan.moved_tokens and self._link_prices else 0.0
        priced = plan.step._replace(moved_tokens=0) if self._link_prices else plan.step
        whole, needed = (self._profile.step_time(one) if any(one) else 0.0 for one in (priced, work))
        return min(1.0, (copied + whole - needed) / (plan.end - plan.start))

    def close(self, until: float) -> None:
        """Account for what is left up to `until` (s), in the midst of a step if need be."""
        self.audit.spend(self._plan, until, self._held_up(self._plan))


def audited(replicas: Sequence[AuditedReplica], horizon: float | None) -> Table:
    """The audit of `replicas`, from 0 to `horizon` (s; None: the end of the last step of any): a row for each use."""
    end = max(replica.audit.since for replica in replicas) if horizon is None else horizon
    rows = []
    for replica in replicas:
        replica.close(end)
        audit = replica.audit
        whole = audit.capacity * end
        rows += [
            (
                replica.device.name,
                use.name.lower(),
                held,
                held / whole if whole else math.nan,
                in_vain,
                audit.capacity,
                end,
            )
            for use, held, in_vain in zip(Use, audit.token_seconds, audit.held_up, strict=True)
        ]
    return {name: np.array(column) for name, column in zip(AUDIT_COLUMNS, zip(*rows, strict=True), strict=True)}
