"""Who gets what in a step of an iteration-level batch: those who run get tokens and blocks, then those who enter."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.queue import Standing, WaitingQueue, limits
from sim.engine.words import COMING, PRESSURE, SHORT_OF_BLOCKS, SOON
from sim.execution import IterationLevel
from sim.job import Job
from sim.policy import Batching, Cause
from sim.step import Hold


class Planner:
    """Serves the running jobs in the order of their admission, then new ones, as vLLM's v1 scheduler does.

    With `together` off every job is looked at in every step; otherwise only when tokens or blocks are short.
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
        self.device = device
        self.execution = execution
        self.batching = batching
        self.parked = parked
        self.waiting = waiting
        self.batch = batch
        self.budget = execution.max_num_batched_tokens or sys.maxsize  # tokens of a step
        self._seats = execution.max_num_seqs
        self._most_decoding = self.budget if together else 0  # jobs that may be served alike
        self._spare = int(execution.watermark * (batch.kv.total + 1))  # blocks; vLLM counts its null block too
        self.moves = waiting.moves or limits(batching)  # whether a refusal may end though nobody came or left
        self.standing: Standing = waiting  # for how long it stands
        self._attends = parked.attends
        self._new_plan: Callable[[float], Plan] = self._begun if parked.attends else batch.new_plan
        self._may_stall = parked.attends or execution.plans_ahead > 0
        self._divisible = device.decoding is None or device.decoding.divisible
        self._threshold = execution.long_prefill_token_threshold or sys.maxsize

    def attend(self) -> None:
        """From now on look, at the beginning of each plan, at what has happened without anybody coming."""
        self._attends, self._may_stall, self._new_plan = True, True, self._begun

    def refuses(self) -> bool:
        """Whether somebody waits who could be admitted, as far as seats go."""
        return bool(self.waiting.front) and len(self.batch.running) < self._seats

    def plan(self, now: float) -> Plan | Hold:
        """Choose the next step: which jobs, how many tokens each. A `Hold` is the answer if nobody is to run."""
        plan = self._new_plan(now)
        running, hold = self.batch.running, None
        budget = self._serve(plan) if running else self.budget
        if self.waiting.front and budget > 0 and not plan.preempted:
            hold = self._admit(plan, budget)
        if running and not (self._may_stall and self._stalls(plan)):
            return plan
        return plan if plan.preempted or plan.moved_tokens else hold or Hold(math.inf)

    def _begun(self, now: float) -> Plan:
        """A plan that is decided `now` (s), when all is done that was to happen before."""
        plan = self.batch.new_plan(now)
        self.parked.attend(plan)
        return plan

    def _stalls(self, plan: Plan) -> bool:
        """Whether none of those who run gets a token: blocks, or their last tokens, are on their way."""
        return not plan.grants and not self.batch.lockstep.rows

    # Those who run

    def decodes_on(self) -> bool:
        """Give each job in lockstep its token and block, if all running jobs are in it and there are enough of both."""
        batch = self.batch
        lockstep = batch.lockstep
        return (
            0 < lockstep.rows <= self._most_decoding - lockstep.proposals[0] and not batch.by_name and lockstep.grow()
        )

    def _serve(self, plan: Plan) -> int:
        """Give the running jobs tokens and blocks, all alike if both suffice; the budget (tokens) that is left."""
        kv, lockstep = self.batch.kv, self.batch.lockstep
        rest = self.budget - lockstep.rows - lockstep.proposals[0]
        if self.decodes_on():
            return rest
        # Who fills one of two equal blocks first is found first: then the order of admission counts.
        fits = rest >= 0 and self._most_decoding > 0 and not lockstep.shares_output
        need = 0
        for job in self.batch.by_name:
            chunk = self._next(job)
            new = min(chunk, rest)
            fits = fits and new > 0 and (new == chunk or (self._divisible and self._is_last(job)))
            if not fits:
                break
            plan.grants[job] = new
            need += kv.missing(job, job.base_computed + new)
            rest -= new
        if not fits or not lockstep.grow(need):
            plan.grants.clear()
            return self._serve_in_order(plan)
        for job, new in plan.grants.items():
            kv.allocate(job, job.base_computed + new)
        return rest

    def _serve_in_order(self, plan: Plan) -> int:
        """Serve the running jobs one by one until tokens or blocks run out; the budget that is left.

        A job that finds no block takes those of a job that waits with its KV kept, the worst first, then of the worst
        running job, which may be itself: then nobody after it is served.
        """
        batch, kv, parked, budget = self.batch, self.batch.kv, self.parked, self.budget
        batch.dissolve()
        for job in self._in_order():
            if budget == 0:
                break
            if job not in batch.running or job in batch.departing:
                continue  # a victim of this very step, or through after the one before
            if not (new := self._within(job, budget)):
                continue  # its pass is not divisible
            while (short := kv.missing(job, job.base_computed + new) - kv.free) > parked.host.leaving:
                if parked.idle:
                    parked.evict(plan, parked.worst(parked.idle, plan.decided))
                    continue
                victim = parked.worst(batch.running, plan.decided)
                budget += self._stop(plan, victim, PRESSURE)
                self._wait(victim, plan.decided)
                if victim is job:
                    return budget
            if short > 0:
                continue  # until what is on its way to the host is there
            kv.allocate(job, job.base_computed + new)
            plan.grants[job] = new
            budget -= new
        return budget

    def _in_order(self) -> list[Job]:
        """The running jobs in the order in which they are served."""
        return list(self.batch.running)

    def _is_last(self, job: Job) -> bool:
        """Whether none of those granted tokens by name is served after `job`, so that it may take the last of them."""
        return job is next(reversed(self.batch.running))

    def _next(self, job: Job) -> int:
        """Tokens that `job`, which runs, would be granted next."""
        return self._chunk(job.pending) if job.pace is None else job.due

    def _within(self, job: Job, budget: int) -> int:
        new = min(self._next(job), budget)
        return 0 if job.pace is not None and new < job.due and not self._divisible else new

    def _chunk(self, pending: int) -> int:
        """Tokens that a job would compute next, of those `pending`: there is a longest chunk, unless it is alone."""
        if pending > self._threshold and len(self.batch.running) + len(self.waiting) > 1:
            return self._threshold
        return pending

    def _stop(self, plan: Plan, victim: Job, cause: Cause) -> int:
        """Let `victim` run no longer; the tokens that it was granted in `plan`, and does not get."""
        tokens = plan.grants.pop(victim, 0) or (self.batch.lockstep.granted(victim) if victim.lockstep else 0)
        if self.waiting.notes is not None:
            self.waiting.note(victim, plan.decided)
        self.batch.stop(victim)
        victim.preemptions += 1
        if victim.stopped is None and victim.first_token is not None:
            victim.stopped = plan.decided
        self.parked.stop(plan, victim, cause)
        plan.preempted += (victim,)
        return tokens

    def _evict(self, plan: Plan, job: Job) -> None:
        """Take the blocks of `job`, one of `_givers`."""
        self.parked.evict(plan, job)

    def _wait(self, job: Job, now: float) -> None:
        """Let `job`, which has stopped, wait, unless its KV is under way: then it does when that has come."""
        if job not in self.parked.host.moving:
            self.waiting.push(job, now)

    # Those who enter

    def _admit(self, plan: Plan, budget: int) -> Hold | None:
        """Admit waiting jobs as the batching selects them, while seats, tokens and blocks last."""
        waiting, running = self.waiting, self.batch.running
        seats = self._seats - len(running)
        while waiting.front and budget > 0 and seats > 0:
            left_out = len(waiting.front)
            chosen = waiting.select(running.keys(), plan.decided)
            if isinstance(chosen, Hold):
                return chosen
            for job in chosen:
                if seats == 0 or budget == 0:
                    return None
                new = self._enter(plan, job, budget)
                if new > 0:
                    budget -= new
                    seats -= 1
                    left_out -= 1
                elif new == COMING:
                    left_out -= 1
                elif not self.execution.skip_unfit:
                    return None
            if left_out:
                return None
        return None

    def _enter(self, plan: Plan, job: Job, budget: int) -> int:
        """Admit `job` if it can be; the tokens that it gets now, 0 if tokens are short, or one of the words above.

        The blocks of all its tokens must be free, although only those of its first chunk are taken, or as many as are
        reserved for the longest output of its leg. Idle jobs make room.
        """
        batch, host = self.batch, self.parked.host
        if self._attends and job in host.moving:
            return COMING
        kv = batch.kv
        reserved = self._reservation(job) if self.execution.reserve_output else 0
        context = job.given + job.base_emitted
        computed = job.base_computed or job.host_tokens
        found = () if reserved or computed else kv.find(job)
        computed = computed or len(found) * kv.block_size
        new = context - computed
        if new > self._threshold:
            new = self._chunk(new)
        if new > budget:
            if not self.execution.chunked_prefill:
                return 0
            new = budget
        spare = self._spare if batch.running else 0
        while (short := kv.missing(job, reserved or context, found) + spare - kv.free) > 0:
            if not self._make_room(plan, job, short):
                return SOON if short <= host.leaving else SHORT_OF_BLOCKS
        self.waiting.remove(job, plan.decided)
        if job.host_tokens:
            kv.allocate(job, reserved or computed)
            if not host.back(plan, job):
                return COMING
        elif job.base_computed:
            self.parked.idle.pop(job, None)
        kv.allocate(job, reserved or computed + new, found)
        job.base_computed = computed
        batch.join(job, plan, new)
        return new

    def _givers(self) -> Collection[Job]:
        """Those whose blocks a better job may take: jobs that wait with their KV kept."""
        return self.parked.idle

    def _make_room(self, plan: Plan, job: Job, short: int) -> bool:
        """Take the blocks of the worst of `_givers` for `job`, which is `short` of some, if it may enter then."""
        givers = self._givers()
        giver = self.parked.giver(job, givers, short, plan.decided) if givers else None
        if giver is not None:
            self._evict(plan, giver)
        elif short <= self.parked.host.leaving:
            self.parked.lasts = 1.0  # those who run may take so much, until then, that somebody must give
        return giver is not None

    def _reservation(self, job: Job) -> int:
        """The KV tokens to set aside for `job`, so that the longest answer of its leg finds room."""
        returned = job.given - job.request.prompt_tokens
        return job.context + 1 if job.prefill_only else job.given + self.device.longest_output(job.request, returned)


class DecodeFirst(Planner):
    """Serves decoding jobs, then prefills under way, then new ones, as Sarathi-Serve does."""

    def _in_order(self) -> list[Job]:
        return sorted(self.batch.running, key=lambda job: job.pending > 1)

    def _is_last(self, job: Job) -> bool:
        return True


class Exclusive(Planner):
    """Runs the whole prefills of new jobs if any may enter, else a token for each that decodes, as vLLM's V0 does."""

    def plan(self, now: float) -> Plan | Hold:
        plan = self._new_plan(now)
        hold = self._admit(plan, self.budget)
        plan.decodes = not plan.admits
        if plan.decodes:
            self._serve(plan)
        if self.batch.running and not (self._may_stall and self._stalls(plan)):
            return plan
        return plan if plan.preempted or plan.moved_tokens else hold or Hold(math.inf)
