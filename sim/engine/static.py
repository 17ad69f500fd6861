"""Request-level batches: rows padded to the widest run until the last is complete, as `generate` of transformers.

How many of the jobs that the batching selected go together, in their order, is said at `StaticPlanner._rows`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sim.device import Device
from sim.engine.batch import Batch
from sim.engine.parked import Parked
from sim.engine.plan import Plan
from sim.engine.queue import WaitingQueue
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold, Step, attended_tokens


class StaticBatch(Batch):
    """Of what happens before its end nothing is seen, but by a leg that ends with its first token."""

    def _compute(self, plan: Plan) -> list[Job]:
        """All rows are computed in one pass; those whose leg ends with the token of that are returned."""
        leaving: list[Job] = []
        for job, new in plan.grants.items():
            job.base_computed += new
            job.base_emitted += 1
            if not job.prefill_only:
                del self.by_name[job]
                self.lockstep.join(job)
                continue
            if job.first_token is None:
                job.first_token = plan.end
            leaving.append(job)
        return leaving

    def _ended(self) -> list[Job]:
        """All rows at once, when the last is complete."""
        super()._ended()
        return [] if self.lockstep.ends else [job for job in self.running if job.lockstep is not None]

    def _retire(self, job: Job, now: float) -> None:
        """As in `Batch`; the padding goes too."""
        super()._retire(job, now)
        job.base_computed -= job.padding
        job.padding = 0
        if job in self.called:
            self._keep(job)

    def _keep(self, job: Job) -> None:
        """What `job`, a row that calls out, keeps of its KV: nothing, for that goes with the batch."""
        self.kv.release(job)
        job.dropped_tokens += job.base_computed
        job.base_computed = 0


class StaticPlanner:
    """Who goes into the next batch; then a token for each row at each step."""

    def __init__(self, device: Device, batching: Batching, waiting: WaitingQueue, batch: Batch, parked: Parked) -> None:
        self.device = device
        self.batching = batching
        self.waiting = waiting
        self.batch = batch
        self.parked = parked
        self._attends = parked.attends
        self.moves = waiting.moves  # whether ranks may change
        self.standing = waiting

    def attend(self) -> None:
        """As in `Planner`."""
        self._attends = True

    def refuses(self) -> bool:
        """Whether somebody waits who could be admitted, as far as seats go."""
        return bool(self.waiting.front) and not self.batch.running

    def decodes_on(self) -> bool:
        """Give each row its token and block, if a batch runs."""
        lockstep = self.batch.lockstep
        return lockstep.rows > 0 and lockstep.grow()

    def plan(self, now: float) -> Plan | Hold:
        """Choose the next step; a `Hold` is the answer if nobody is to run."""
        plan = Plan(now)
        if self._attends:
            self.parked.attend(plan)
        return self._next(plan)

    def _next(self, plan: Plan) -> Plan | Hold:
        """As above, when all is done that was to happen before."""
        now = plan.decided
        if self.batch.running:
            if not self.decodes_on():
                raise RuntimeError(f"a static batch runs out of memory at {now} s")
            return plan
        if not self.waiting.front:
            return Hold(math.inf)
        chosen = self.waiting.select(self.batch.running.keys(), now)
        if isinstance(chosen, Hold):
            return chosen
        for job in self._rows(chosen[: self.batching.execution.max_num_seqs], self.batch.kv.free):
            self._enter(plan, job)
        return plan if self.batch.running else Hold(math.inf)

    def _enter(self, plan: Plan, job: Job) -> None:
        """Let `job`, a row of the next batch, run."""
        self.waiting.remove(job, plan.decided)
        self.batch.kv.allocate(job, job.context)
        self.batch.join(job, plan, job.pending)

    def _rows(self, chosen: Sequence[Job], room: int) -> Sequence[Job]:
        """The first of `chosen` that make a batch, every row padded to the widest; the others are left out.

        Nobody is cut: the answer at which the batch ends does so within max_model_len behind the widest prompt. And
        memory lasts, of which there is `room` (blocks): it is looked for behind each row as far as the clients' caps
        and max_model_len go. Where a client set no cap nobody knows how far that is; then the batch is as large as
        its KV, which grows token by token, will let it be: as if one that runs out of memory had been split beforehand.
        Nor is a prefill larger than the profile knows of: rows are left out until it answers. The first row runs alone
        if need be.
        """
        kv, longest_len = self.batch.kv, self.device.max_model_len
        size = width = end = most = 0
        for count, job in enumerate(chosen, 1):
            cap = job.request.max_tokens
            ahead = self._ahead(job)
            allowed = ahead if cap is None or job.prefill_only else cap - job.base_emitted
            end, most = (self._later(end, ahead), self._later(most, allowed)) if size else (ahead, allowed)
            wider = max(width, job.context)
            tokens = min(wider + most, longest_len) - 1  # the last is emitted, and never computed
            fits = wider + end <= longest_len and count * -(-tokens // kv.block_size) <= room
            if count == 1:
                fits = -(-(wider + end - 1) // kv.block_size) <= room  # KV that is being sent may take its room
            if not fits or (count > 1 and not self._is_priced(chosen[:count], wider)):
                break
            size, width = count, wider
        for job in chosen[:size]:
            job.padding = width - job.context
        return chosen[:size]

    def _later(self, one: int, other: int) -> int:
        """The tokens after which a batch of two rows is over, if they have so many ahead."""
        return max(one, other)

    def _ahead(self, job: Job) -> int:
        """The tokens that `job` has still to emit in this leg."""
        return 1 if job.prefill_only else job.ends_at - job.base_emitted

    def _is_priced(self, rows: Sequence[Job], width: int) -> bool:
        """Whether the profile says how long the first step of `rows`, each padded to `width` tokens, takes."""
        computed = [job.base_computed or job.host_tokens for job in rows]
        chunks = [(width - tokens, tokens) for tokens in computed]
        prefills = [chunk for chunk in chunks if chunk[0] > 1]
        tokens, attended = sum(new for new, _ in prefills), sum(attended_tokens(*chunk) for chunk in prefills)
        decoding = len(chunks) - len(prefills)
        try:
            self.device.profile.step_time(Step(tokens, attended, decoding, decoding * width))
        except ValueError:  # it says nothing about such a step
            return False
        return True
