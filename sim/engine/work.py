"""The work that a plan gives to the device."""

from __future__ import annotations

from collections.abc import Callable

from sim.engine.lockstep import NONE, Lockstep
from sim.engine.plan import Plan
from sim.job import Job
from sim.step import Step, attended_tokens

_new = tuple.__new__  # of all its fields, in half the time of `Step`: one is made for each step that is priced


def work_of(plan: Plan, lockstep: Lockstep, uneven: bool) -> Step:
    """The first step of `plan`; only where the profile is `uneven` it says how long the longest context is."""
    jobs, context, longest = 0, 0, 0
    proposed, rounds = NONE
    if plan.decodes:
        jobs, context = lockstep.rows, lockstep.context
        proposed, rounds = lockstep.proposals
        if uneven:
            longest = lockstep.longest()
    prefill_tokens = prefill_attended = prefill_jobs = 0
    for job, new in plan.grants.items():
        if new > 1 and job.pace is None:
            prefill_jobs += 1
            prefill_tokens += new
            prefill_attended += attended_tokens(new, job.base_computed)
            continue
        jobs += 1
        context += job.base_computed + 1
        if uneven:
            longest = max(longest, job.base_computed + 1)
        if new > 1:
            proposed, rounds = proposed + new - 1, max(rounds, new - 1)
    return _new(Step, (
        prefill_tokens, prefill_attended, jobs, context, plan.moved_tokens, prefill_jobs, longest, 0.0, proposed, rounds
    ))  # fmt: skip


def useful(plan: Plan, anew: Callable[[Job], int]) -> Step:
    """The first step of `plan`, which is priced and not carried out yet, without copies and what is computed `anew`."""
    tokens, attended, jobs, context, _, prefills, *_ = plan.step
    for job, new in plan.grants.items():
        again = min(new, anew(job))
        if again and new == 1:
            jobs, context = jobs - 1, context - job.base_computed - 1
        elif again:
            tokens, attended = tokens - again, attended - attended_tokens(again, job.base_computed)
            prefills -= again == new
    return plan.step._replace(
        prefill_tokens=tokens,
        prefill_attended=attended,
        decode_jobs=jobs,
        decode_context=context,
        moved_tokens=0,
        prefill_jobs=prefills,
    )
