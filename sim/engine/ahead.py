"""The jobs that run on a replica which decides a step when the one before it begins."""

from __future__ import annotations

from typing import Protocol

from sim.engine.batch import Batch
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.plan import Plan
from sim.job import Job


class Stopped(Protocol):
    """Where jobs are that have stopped; instants in seconds."""

    def recall(self, job: Job, now: float) -> None: ...

    def rank_anew(self, job: Job, now: float) -> None: ...


class AheadBatch(Batch):
    """As `Batch`, but a plan is committed when its last step begins: the tokens of that are counted, and on their way.

    They come when the next plan is committed. A job whose last token is on its way runs, and is granted none, if that
    was to be foreseen: it is among those `departing`; otherwise it takes part in a step more, in vain. One that had to
    stop meanwhile is through nevertheless: it is recalled from among those who have `stopped`.
    """

    def __init__(self, kv: KVCache, lockstep: Lockstep) -> None:
        super().__init__(kv, lockstep)
        self.stopped: Stopped | None = None  # whoever puts the parts together knows
        self.new_plan = self._next_plan
        self._coming: dict[Job, None] = {}  # jobs in no lockstep of which a token is on its way
        self._first: list[Job] = []  # those of which that is the first

    def _next_plan(self, now: float) -> Plan:
        """A plan that is decided `now` (s), and starts when the device is free."""
        plan = Plan(now)
        plan.start = max(now, self.busy_until)
        return plan

    def stop(self, job: Job) -> None:
        if job in self.departing:
            del self.departing[job], self.running[job]
            job.admission = 0
            return
        if job.lockstep is not None:
            self._comes(job)
        super().stop(job)

    def dissolve(self) -> None:
        for _, _, job in self.lockstep.ends:
            self._comes(job)
        self.lockstep.dissolve()
        self.by_name = {job: None for job in self.running if job not in self.departing}

    def commit(self, plan: Plan) -> list[Job]:
        """The last step of `plan` begins, and what was on its way is there: who is through leaves, at `plan.due`."""
        for job in self._first:
            job.first_token = plan.start
        self._first.clear()
        leaving = self._land(plan.due)
        for job in leaving:
            plan.grants.pop(job, None)  # in vain
        if plan.decodes:
            self.lockstep.advance(plan.steps)
        for job in self._compute(plan):
            self._depart(job)
        ended = self.lockstep.ended()
        for job in ended:
            if self.lockstep.tick - job.entered > job.ends_at:
                leaving.append(job)
            else:
                self.lockstep.leave(job)
                self._depart(job)
        self.busy_until = plan.end
        leaving.sort(key=lambda job: job.admission)
        for job in leaving:
            self._retire(job, plan.due)
        return [job for job in leaving if job not in self.called] if self.called else leaving

    def _land(self, now: float) -> list[Job]:
        """The tokens on their way, of jobs in no lockstep, are there: the jobs that are through."""
        coming, self._coming = self._coming, {}
        leaving: list[Job] = []
        for job in coming:
            job.ahead = 0
            if job.prefill_only or job.base_emitted == job.ends_at:
                leaving.append(job)
            elif not job.runs:
                self._elsewhere(job).rank_anew(job, now)
            if job.runs:
                self.kv.fill(job, job.base_computed)
        return leaving

    def _depart(self, job: Job) -> None:
        """The last token of `job` is on its way."""
        self.by_name.pop(job, None)
        self.departing[job] = None
        self._comes(job)

    def _comes(self, job: Job) -> None:
        """A token of `job` is on its way, which is in no lockstep from now on."""
        self._coming[job] = None
        job.ahead = 1

    def _compute(self, plan: Plan) -> list[Job]:
        """As in `Batch`; nobody has a first token before it is there."""
        leaving = super()._compute(plan)
        for job in plan.grants:
            if job.first_token == plan.end:
                job.first_token = None
                self._first.append(job)
        return leaving

    def _retire(self, job: Job, now: float) -> None:
        if job.calls_out and job.lockstep is None and not job.prefill_only:
            self.by_name.pop(job, None)
            self.called.append(job)  # wherever it is, if it had to stop
        elif job.runs:
            super()._retire(job, now)
            if job in self.called:  # the token of the last tick, if there was one, was in vain
                job.base_computed = min(job.base_computed, job.context - 1)
        else:
            self._elsewhere(job).recall(job, now)
            if job.base_emitted == job.true_tokens:
                job.finished = now

    def _elsewhere(self, job: Job) -> Stopped:
        if self.stopped is None:
            raise RuntimeError(f"{job} has stopped, and nobody knows where it is")
        return self.stopped
