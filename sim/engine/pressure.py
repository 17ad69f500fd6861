"""When tokens or blocks are short: the running jobs are served one by one, and some have to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.plan import Plan
from sim.job import Job
from sim.policy import Keep, Phases

if TYPE_CHECKING:
    from sim.engine.batch import Batch


def serve_in_order(batch: Batch, plan: Plan) -> int:
    """Serve the running jobs in the order of admission until tokens or blocks run out; the budget that is left.

    A job that finds no block takes those of the worst running job, which may be itself: then nobody after it is served.
    """
    kv, budget = batch.kv, batch.budget
    for job in batch.lockstep.dissolve():
        if not job.reserved:
            kv.dismiss(job, batch.lockstep.tick)
    batch.explicit = batch.running.copy()
    order = list(batch.running)
    if batch.execution.phases is Phases.DECODE_FIRST:
        order.sort(key=lambda job: job.pending > 1)
    for job in order:
        if budget == 0:
            break
        if job not in batch.running:
            continue  # a victim of this very step
        new = min(batch.chunk(job.pending), budget)
        while kv.missing(job, job.base_computed + new) > kv.free:
            victim = _worst(batch, plan.start)
            budget += plan.grants.pop(victim, 0)
            _preempt(batch, plan, victim)
            if victim is job:
                return budget
        kv.hold(job, job.base_computed + new)
        plan.grants[job] = new
        budget -= new
    return budget


def _worst(batch: Batch, now: float) -> Job:
    """The running job that memory pressure takes first: the last in rank, then arrival, then id."""
    return max(batch.running, key=lambda job: batch.waiting.entry(job, now)[:3])


def _preempt(batch: Batch, plan: Plan, victim: Job) -> None:
    """Take `victim`'s blocks and let it wait again."""
    del batch.running[victim], batch.explicit[victim]
    batch.kv.release(victim)
    victim.preemptions += 1
    if batch.eviction.on_pressure(victim) is Keep.SWAP:
        victim.host_tokens = victim.base_computed
    else:
        victim.base_computed = 0
    plan.moved_tokens += victim.host_tokens
    plan.preempted += (victim,)
    batch.waiting.push(victim, plan.start)
