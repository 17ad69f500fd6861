"""The work that a plan gives to the device."""

from __future__ import annotations

from sim.engine.lockstep import Lockstep
from sim.engine.plan import Plan
from sim.step import Step, attended_tokens


def work_of(plan: Plan, lockstep: Lockstep, uneven: bool) -> Step:
    """The first step of `plan`; only where the profile is `uneven` it says how long the longest context is."""
    jobs, context, longest = 0, 0, 0
    if plan.decodes:
        jobs, context = lockstep.rows, lockstep.context
        if uneven:
            longest = lockstep.longest()
    prefill_tokens = prefill_attended = prefill_jobs = 0
    for job, new in plan.grants.items():
        if new == 1:
            jobs += 1
            context += job.base_computed + 1
            if uneven:
                longest = max(longest, job.base_computed + 1)
        else:
            prefill_jobs += 1
            prefill_tokens += new
            prefill_attended += attended_tokens(new, job.base_computed)
    return Step(prefill_tokens, prefill_attended, jobs, context, plan.moved_tokens, prefill_jobs, longest)
