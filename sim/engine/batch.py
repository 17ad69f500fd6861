"""The jobs that run on a replica: who gets tokens and blocks in a step, who enters, who has to go."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from sim.device import Device
from sim.engine.lockstep import Lockstep
from sim.engine.plan import Plan
from sim.engine.pressure import serve_in_order
from sim.engine.queue import WaitingQueue
from sim.job import Job
from sim.policy import Batching, Eviction, Phases
from sim.step import Hold, Step, attended_tokens


class Batch:
    """Running jobs, in admission order, and the KV that they hold.

    Each is either in `lockstep`, decoding, or in `explicit`, where it is given its tokens by name. With `together` off
    every job is looked at in every step; otherwise only when tokens or blocks are short.
    """

    def __init__(
        self, device: Device, batching: Batching, eviction: Eviction, waiting: WaitingQueue, together: bool
    ) -> None:
        self.device = device
        self.batching = batching
        self.execution = batching.execution
        self.eviction = eviction
        self.waiting = waiting
        self.kv = device.new_cache(self.execution)
        self.running: dict[Job, None] = {}  # an ordered set
        self.explicit: dict[Job, None] = {}
        self.lockstep = Lockstep()
        self.budget = self.execution.max_num_batched_tokens or sys.maxsize  # tokens of a step
        self._most = self.execution.max_num_seqs
        self._static = self.execution.static
        self._exclusive = self.execution.phases is Phases.EXCLUSIVE
        self._most_decoding = self.budget if together or self._static else 0  # jobs that may be served alike
        self._spare = int(self.execution.watermark * (self.kv.total + 1))  # blocks; vLLM counts its null block too
        self._threshold = self.execution.long_prefill_token_threshold or sys.maxsize
        self._places = 0  # admissions so far
        self._padding_rows = 0  # complete jobs of a static batch

    def is_open(self) -> bool:
        """Whether a waiting job could be admitted, as far as places go."""
        running = self.running
        return not running or (len(running) < self._most and not self._static)

    def plan(self, now: float) -> Plan | Hold:
        """Choose the next step: which jobs, how many tokens each. A `Hold` is the answer if nobody is to run."""
        plan = Plan(now)
        hold = None
        if self._exclusive:
            hold = self._admit(plan, self.budget)
            plan.decodes = not plan.admits
            if plan.decodes:
                self._serve(plan)
        else:
            budget = self._serve(plan) if self.running else self.budget
            if self.waiting.front and budget > 0 and not plan.preempted:
                hold = self._admit(plan, budget)
        if not self.running and not plan.preempted:
            return hold or Hold(math.inf)
        return plan

    # Tokens and blocks for those who run

    def decodes_on(self) -> bool:
        """Give each job in lockstep its token and block, if all running jobs are in it and there are enough of both."""
        lockstep = self.lockstep
        return 0 < lockstep.rows <= self._most_decoding and not self.explicit and self.kv.grow(lockstep.tick)

    def _serve(self, plan: Plan) -> int:
        """Give the running jobs tokens and blocks, all alike if both suffice; the budget (tokens) that is left."""
        kv, lockstep = self.kv, self.lockstep
        rest = self.budget - lockstep.rows
        if self.decodes_on():
            return rest
        # Who fills one of two equal blocks first is found first: then the order of admission counts.
        fits = rest >= 0 and self._most_decoding > 0 and not kv.shares_output
        need = 0
        for job in self.explicit:
            chunk = self.chunk(job.pending)
            new = min(chunk, rest)
            fits = fits and new > 0 and (new == chunk or self._is_last(job))
            if not fits:
                break
            plan.grants[job] = new
            need += kv.missing(job, job.base_computed + new)
            rest -= new
        if not fits or not kv.grow(lockstep.tick, need):
            plan.grants.clear()
            return serve_in_order(self, plan)
        for job, new in plan.grants.items():
            kv.hold(job, job.base_computed + new)
        return rest

    def chunk(self, pending: int) -> int:
        """Tokens that a job would compute next, of those `pending`: there is a longest chunk, unless it is alone."""
        if pending > self._threshold and len(self.running) + len(self.waiting) > 1:
            return self._threshold
        return pending

    def _is_last(self, job: Job) -> bool:
        """Whether nobody is served after `job`, so that it may take the last of the budget."""
        return self.execution.phases is Phases.DECODE_FIRST or job is next(reversed(self.running))

    # Those who enter

    def _admit(self, plan: Plan, budget: int) -> Hold | None:
        """Admit waiting jobs as the batching selects them, while places, tokens and blocks last."""
        waiting, running = self.waiting, self.running
        places = 0 if self._static and running else self._most - len(running)
        while waiting.front and budget > 0 and places > 0:
            if not waiting.static:
                waiting.refresh(plan.start)
            shown = waiting.head()
            chosen = self.batching.select(shown, running.keys(), plan.start)
            if isinstance(chosen, Hold):
                if running or not chosen.until > plan.start:
                    when = f"at {plan.start} s until {chosen.until} s{' while jobs run' if running else ''}"
                    raise RuntimeError(f"{type(self.batching).__name__} holds {when}")
                return chosen
            if self._static:
                chosen = self._padded(chosen[:places])
            reserved = self._reservations(chosen) if self.execution.reserve_output else {}
            left_out = len(shown)
            for job in chosen:
                if places == 0 or budget == 0:
                    return None
                new = self._enter(plan, job, budget, reserved.get(job, 0))
                if new:
                    budget -= new
                    places -= 1
                    left_out -= 1
                elif not self.execution.skip_unfit:
                    return None
            if left_out or self._static:
                return None
        return None

    def _enter(self, plan: Plan, job: Job, budget: int, reserved: int) -> int:
        """Admit `job` if tokens and blocks can be had; the tokens that it gets now, 0 if it stays out.

        The blocks of all its tokens must be free, although only those of its first chunk are taken, or as many as are
        `reserved` for it: tokens, 0 if it takes them as it goes.
        """
        kv, running = self.kv, self.running
        context = job.request.prompt_tokens + job.padding + job.base_emitted
        found = () if reserved or job.base_computed else kv.find(job)
        computed = job.base_computed or len(found) * kv.block_size
        new = context - computed
        if new > self._threshold:
            new = self.chunk(new)
        if new > budget:
            if not self.execution.chunked_prefill:
                return 0
            new = budget
        if kv.missing(job, reserved or context, found) + (self._spare if running else 0) > kv.free:
            return 0
        self.waiting.remove(job)
        running[job] = self.explicit[job] = None
        self._places += 1
        job.place = self._places
        job.base_computed = computed
        job.reserved = reserved > 0
        kv.hold(job, reserved or computed + new, found)
        if job.host_tokens:
            plan.moved_tokens += job.host_tokens
            job.host_tokens = 0
        if job.first_scheduled is None:
            job.first_scheduled = plan.start
        plan.grants[job] = new
        plan.admits = True
        return new

    def _reservations(self, chosen: Sequence[Job]) -> dict[Job, int]:
        """The KV tokens to set aside for each of `chosen`, so that the longest answer of its leg finds room."""
        return {
            job: job.context + (1 if job.prefill_only else self.device.longest_output(job.request) - job.base_emitted)
            for job in chosen
        }

    def _padded(self, chosen: Sequence[Job]) -> Sequence[Job]:
        """The first of `chosen` that make a static batch, every row padded to the widest; the others are left out.

        Nobody is cut: the longest answer ends within max_model_len behind the widest prompt. And memory lasts: room
        is looked for behind each row as far as the clients' caps and max_model_len go. Where a client set no cap
        nobody knows how far that is; then the batch is as large as its KV, which grows token by token, will let it
        be: as if one that runs out of memory had been split beforehand. Nor is a prefill larger than the profile
        knows of: rows are left out until it answers. The first row runs alone if need be.
        """
        longest_len = self.device.max_model_len
        size = width = longest = most = 0
        for count, job in enumerate(chosen, 1):
            cap = job.request.max_tokens
            ahead = 1 if job.prefill_only else job.request.truth.output_tokens - job.base_emitted
            longest = max(longest, ahead)
            most = max(most, ahead if cap is None or job.prefill_only else cap - job.base_emitted)
            wider = max(width, job.context)
            tokens = min(wider + most, longest_len) - 1  # the last is emitted, and never computed
            fits = wider + longest <= longest_len and count * -(-tokens // self.kv.block_size) <= self.kv.free
            if count > 1 and not (fits and self._is_priced(chosen[:count], wider)):
                break
            size, width = count, wider
        for job in chosen[:size]:
            job.padding = width - job.context
        return chosen[:size]

    def _is_priced(self, rows: Sequence[Job], width: int) -> bool:
        """Whether the profile says how long the first step of `rows`, each padded to `width` tokens, takes."""
        chunks = [(width - job.base_computed, job.base_computed) for job in rows]
        prefills = [chunk for chunk in chunks if chunk[0] > 1]
        tokens, attended = sum(new for new, _ in prefills), sum(attended_tokens(*chunk) for chunk in prefills)
        decoding = len(chunks) - len(prefills)
        try:
            self.device.profile.step_time(Step(tokens, attended, decoding, decoding * width))
        except ValueError:  # it says nothing about such a step
            return False
        return True

    # Those who are through

    def commit(self, plan: Plan) -> list[Job]:
        """`plan` is carried out: tokens are computed and emitted; the jobs that leave, in admission order."""
        lockstep, steps = self.lockstep, plan.steps
        if plan.decodes:
            if steps > 1:
                self.kv.leap(lockstep.tick + 1, steps - 1)
            lockstep.advance(steps)
        leaving = self._compute(plan) if plan.grants else []
        ends = lockstep.ends
        if ends and ends[0][0] <= lockstep.tick:
            ended = lockstep.ended()
            if self._static:
                self._padding_rows += len(ended)
                ended = [job for job in self.running if job.lockstep] if self._padding_rows == lockstep.rows else []
            leaving = sorted(leaving + ended, key=lambda job: job.place) if leaving else ended
        for job in leaving:
            self._retire(job, plan.end)
        return leaving

    def _compute(self, plan: Plan) -> list[Job]:
        """The tokens granted by name are computed; who has none pending emits one, and decodes in lockstep from now on.

        The jobs whose leg ends with that token are returned instead.
        """
        lockstep = self.lockstep
        leaving: list[Job] = []
        for job, new in plan.grants.items():
            job.base_computed += new
            if job.base_computed < job.request.prompt_tokens + job.padding + job.base_emitted:
                continue
            del self.explicit[job]
            job.base_emitted += 1
            if job.first_token is None and (job.prefill_only or not self._static):
                job.first_token = plan.end
            if job.prefill_only:
                leaving.append(job)
                continue
            lockstep.join(job)
            if not job.reserved:
                self.kv.enlist(job, lockstep.tick)
        return leaving

    def _retire(self, job: Job, now: float) -> None:
        """Let `job` go, whose leg is over."""
        del self.running[job]
        if job.lockstep is None:
            self.kv.release(job)  # its leg was to prefill
        else:
            self.lockstep.leave(job)
            if job.reserved:
                self.kv.release(job)
            else:
                self.kv.finish(job, self.lockstep.tick)
        if job.base_emitted == job.request.truth.output_tokens:
            job.finished = now
        if self._static:
            job.base_computed -= job.padding
            job.padding = 0
            if not self.running:
                self._padding_rows = 0
