"""Who gets what in a step of an iteration-level batch: those who run get tokens and blocks, then those who enter."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.plan import Plan
from sim.engine.queue import WaitingQueue
from sim.execution import IterationLevel
from sim.job import Job
from sim.policy import Batching, Cause, Eviction, Keep, Load
from sim.step import Hold

FRUITLESS = 100_000  # stops between two tokens: more than jobs run at a time, by far


class Planner:
    """Serves the running jobs in the order of their admission, then new ones, as vLLM's v1 scheduler does.

    With `together` off every job is looked at in every step; otherwise only when tokens or blocks are short.
    """

    def __init__(
        self,
        device: Device,
        execution: IterationLevel,
        batching: Batching,
        eviction: Eviction,
        waiting: WaitingQueue,
        batch: Batch,
        together: bool,
    ) -> None:
        self.device = device
        self.execution = execution
        self.batching = batching
        self.eviction = eviction
        self.waiting = waiting
        self.batch = batch
        self.budget = execution.max_num_batched_tokens or sys.maxsize  # tokens of a step
        self._seats = execution.max_num_seqs
        self._most_decoding = self.budget if together else 0  # jobs that may be served alike
        self._spare = int(execution.watermark * (batch.kv.total + 1))  # blocks; vLLM counts its null block too
        self.moves = waiting.moves  # whether a refusal may stand no longer though nobody came or left
        self.idle: dict[Job, None] = {}  # waiting jobs whose KV was kept
        self._fruitless = 0, 0  # prefills that were over when a job stopped, and how many have stopped since
        self._threshold = execution.long_prefill_token_threshold or sys.maxsize

    def refuses(self) -> bool:
        """Whether somebody waits who could be admitted, as far as seats go."""
        return bool(self.waiting.front) and len(self.batch.running) < self._seats

    def plan(self, now: float) -> Plan | Hold:
        """Choose the next step: which jobs, how many tokens each. A `Hold` is the answer if nobody is to run."""
        plan = Plan(now)
        running, hold = self.batch.running, None
        budget = self._serve(plan) if running else self.budget
        if self.waiting.front and budget > 0 and not plan.preempted:
            hold = self._admit(plan, budget)
        return plan if running or plan.preempted else hold or Hold(math.inf)

    @property
    def lasts(self) -> float:
        """For how many steps the ranks stand by which somebody is refused."""
        return self.waiting.lasts

    @property
    def until(self) -> float:
        """Until which instant they do, s."""
        return self.waiting.until

    # Those who run

    def decodes_on(self) -> bool:
        """Give each job in lockstep its token and block, if all running jobs are in it and there are enough of both."""
        batch = self.batch
        lockstep = batch.lockstep
        return 0 < lockstep.rows <= self._most_decoding and not batch.by_name and lockstep.grow()

    def _serve(self, plan: Plan) -> int:
        """Give the running jobs tokens and blocks, all alike if both suffice; the budget (tokens) that is left."""
        kv, lockstep = self.batch.kv, self.batch.lockstep
        rest = self.budget - lockstep.rows
        if self.decodes_on():
            return rest
        # Who fills one of two equal blocks first is found first: then the order of admission counts.
        fits = rest >= 0 and self._most_decoding > 0 and not lockstep.shares_output
        need = 0
        for job in self.batch.by_name:
            chunk = self._chunk(job.pending)
            new = min(chunk, rest)
            fits = fits and new > 0 and (new == chunk or self._is_last(job))
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
        batch, kv, budget = self.batch, self.batch.kv, self.budget
        batch.dissolve()
        for job in self._in_order():
            if budget == 0:
                break
            if job not in batch.running:
                continue  # a victim of this very step
            new = min(self._chunk(job.pending), budget)
            while kv.missing(job, job.base_computed + new) > kv.free:
                if self.idle:
                    self._evict(plan, self._worst(self.idle, plan.start))
                    continue
                victim = self._worst(batch.running, plan.start)
                budget += self._stop(plan, victim, Cause.PRESSURE)
                self.waiting.push(victim, plan.start)
                if victim is job:
                    return budget
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

    def _chunk(self, pending: int) -> int:
        """Tokens that a job would compute next, of those `pending`: there is a longest chunk, unless it is alone."""
        if pending > self._threshold and len(self.batch.running) + len(self.waiting) > 1:
            return self._threshold
        return pending

    def _worst(self, jobs: Iterable[Job], now: float) -> Job:
        """The one of `jobs` that memory pressure takes first: the last in rank, then arrival, then id."""
        return max(jobs, key=lambda job: self.waiting.entry(job, now)[:3])

    def _stop(self, plan: Plan, victim: Job, cause: Cause) -> int:
        """Let `victim` run no longer; the tokens that it was granted in `plan`, and does not get."""
        tokens = plan.grants.pop(victim, 0) or int(victim.lockstep is not None)
        self.waiting.note(victim, plan.start)
        keep = self._asked(victim, cause, plan.start)
        self.batch.stop(victim)
        victim.preemptions += 1
        if keep is Keep.KEEP:
            self.batch.kv.forget(victim, victim.base_computed)
            self.idle[victim] = None
        else:
            self._clear(plan, victim, keep)
        plan.preempted += (victim,)
        self._check_progress(victim, plan.start)
        return tokens

    def _check_progress(self, victim: Job, now: float) -> None:
        """RuntimeError if jobs have long done nothing but take each other's place: they would go on for ever."""
        ended, stops = self._fruitless
        fruitless = ended == self.batch.prefills and not self.batch.lockstep.rows
        self._fruitless = self.batch.prefills, stops + 1 if fruitless else 1
        if fruitless and stops >= FRUITLESS:
            parts = f"{type(self.waiting.order).__name__} and {type(self.eviction).__name__}"
            raise RuntimeError(f"{stops} jobs stopped in a row and no prefill ended, by {parts}: {victim} at {now} s")

    def _evict(self, plan: Plan, idle: Job) -> None:
        """Take the blocks of a job that waits with its KV kept."""
        del self.idle[idle]
        self._clear(plan, idle, self._asked(idle, Cause.PRESSURE, plan.start))

    def _asked(self, job: Job, cause: Cause, now: float) -> Keep:
        """What is to become of the KV of `job`; RuntimeError if it is no `Keep`, or to stay where memory is short."""
        kv = self.batch.kv
        keep = self.eviction.on_stop(job, cause, Load(kv.free, kv.total, len(self.batch.running)), now)
        if not isinstance(keep, Keep):
            raise RuntimeError(f"{type(self.eviction).__name__}.on_stop says {keep!r} of {job} at {now} s: no sim.Keep")
        if keep is Keep.KEEP and cause is Cause.PRESSURE:
            raise RuntimeError(f"{type(self.eviction).__name__}.on_stop keeps {job} at {now} s under pressure")
        return keep

    def _clear(self, plan: Plan, job: Job, keep: Keep) -> None:
        """Take the blocks of `job`, whose KV is dropped or goes to the host."""
        self.batch.kv.release(job)
        if keep is Keep.SWAP:
            job.host_tokens = job.base_computed
            plan.moved_tokens += job.host_tokens
        job.base_computed = 0

    # Those who enter

    def _admit(self, plan: Plan, budget: int) -> Hold | None:
        """Admit waiting jobs as the batching selects them, while seats, tokens and blocks last."""
        waiting, running = self.waiting, self.batch.running
        seats = self._seats - len(running)
        while waiting.front and budget > 0 and seats > 0:
            left_out = len(waiting.front)
            chosen = waiting.select(self.batching, running.keys(), plan.start)
            if isinstance(chosen, Hold):
                return chosen
            reserved = self._reservations(chosen) if self.execution.reserve_output else {}
            for job in chosen:
                if seats == 0 or budget == 0:
                    return None
                new = self._enter(plan, job, budget, reserved.get(job, 0))
                if new > 0:
                    budget -= new
                    seats -= 1
                    left_out -= 1
                elif not self.execution.skip_unfit:
                    return None
            if left_out:
                return None
        return None

    def _enter(self, plan: Plan, job: Job, budget: int, reserved: int) -> int:
        """Admit `job` if it can be; the tokens that it gets now, 0 if tokens are short and -1 if blocks are.

        The blocks of all its tokens must be free, although only those of its first chunk are taken, or as many as are
        `reserved` for it: tokens, 0 if it takes them as it goes.
        """
        batch = self.batch
        kv = batch.kv
        context = job.request.prompt_tokens + job.base_emitted
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
        if kv.missing(job, reserved or context, found) + (self._spare if batch.running else 0) > kv.free:
            return -1
        self.waiting.remove(job, plan.start)
        kv.allocate(job, reserved or computed + new, found)
        job.base_computed = computed
        if job.host_tokens:
            plan.moved_tokens += job.host_tokens
            job.host_tokens = 0
        batch.join(job, plan, new)
        return new

    def _reservations(self, chosen: Sequence[Job]) -> dict[Job, int]:
        """The KV tokens to set aside for each of `chosen`, so that the longest answer of its leg finds room."""
        return {
            job: job.context + (1 if job.prefill_only else self.device.longest_output(job.request) - job.base_emitted)
            for job in chosen
        }


class DecodeFirst(Planner):
    """Serves decoding jobs, then prefills under way, then new ones, as Sarathi-Serve does."""

    def _in_order(self) -> list[Job]:
        return sorted(self.batch.running, key=lambda job: job.pending > 1)

    def _is_last(self, job: Job) -> bool:
        return True


class Exclusive(Planner):
    """Runs the whole prefills of new jobs if any may enter, else a token for each that decodes, as vLLM's V0 does."""

    def plan(self, now: float) -> Plan | Hold:
        plan = Plan(now)
        hold = self._admit(plan, self.budget)
        plan.decodes = not plan.admits
        if plan.decodes:
            self._serve(plan)
        return plan if self.batch.running or plan.preempted else hold or Hold(math.inf)
