"""The jobs that run on a replica, and what a step makes of them."""

from __future__ import annotations

from collections.abc import Callable

from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.plan import Plan
from sim.job import Job


class Batch:
    """Running jobs, in admission order, and the KV that they hold.

    Each is either in `lockstep`, decoding, or in `by_name`, where it is granted its tokens singly.
    """

    def __init__(self, kv: KVCache, lockstep: Lockstep) -> None:
        self.new_plan: Callable[[float], Plan] = Plan  # one that is decided at an instant, s
        self.kv = kv
        self.lockstep = lockstep
        self.running: dict[Job, None] = {}  # an ordered set
        self.by_name: dict[Job, None] = {}
        self.departing: dict[Job, None] = {}  # those of them whose last token is on its way
        self.called: list[Job] = []  # those of them that call out, until the next plan
        self.busy_until = 0.0  # when the device has done what was decided, s
        self.admissions = 0  # so far
        self.prefills = 0  # that are over, and other tokens emitted by name, so far

    def join(self, job: Job, plan: Plan, new: int) -> None:
        """Let `job` run, which `plan` grants `new` tokens."""
        self.running[job] = self.by_name[job] = None
        self.admissions += 1
        job.admission = self.admissions
        if job.first_scheduled is None:
            job.first_scheduled = plan.decided
        plan.grants[job] = new
        plan.admits = True

    def stop(self, job: Job) -> None:
        """Let `job` run no more; it keeps its blocks, and those that it was to fill in this step."""
        if job.lockstep is None:
            del self.by_name[job]
        else:
            self.lockstep.withdraw(job)
        del self.running[job]
        job.admission = 0

    def dissolve(self) -> None:
        """Let nobody decode in lockstep: each running job is granted its tokens by name."""
        self.lockstep.dissolve()
        self.by_name = self.running.copy()

    def commit(self, plan: Plan) -> list[Job]:
        """`plan` has been carried out: tokens are computed and emitted. The jobs that leave, in admission order."""
        lockstep = self.lockstep
        if plan.decodes:
            lockstep.advance(plan.steps)
        leaving = self._compute(plan) if plan.grants else []
        ends = lockstep.ends
        if ends and ends[0][0] <= lockstep.tick:
            leaving += self._ended()
        if len(leaving) > 1:
            leaving.sort(key=lambda job: job.admission)
        for job in leaving:
            self._retire(job, plan.end)
        return [job for job in leaving if job not in self.called] if self.called else leaving

    def _compute(self, plan: Plan) -> list[Job]:
        """The tokens granted by name are computed; who has none pending emits one, and decodes in lockstep from now on.

        The jobs whose leg ends with that token are returned instead.
        """
        leaving: list[Job] = []
        for job, new in plan.grants.items():
            job.base_computed += new
            if job.base_computed < job.given + job.base_emitted:
                continue
            job.base_emitted += 1
            self.prefills += 1
            if job.first_token is None:
                job.first_token = plan.end
            elif job.stopped is not None:
                job.longest_stop = max(job.longest_stop, plan.end - job.stopped)
                job.stopped = None
            if job.prefill_only:
                leaving.append(job)
            else:
                del self.by_name[job]
                self.lockstep.join(job)
        return leaving

    def _ended(self) -> list[Job]:
        """The jobs in lockstep that leave, now that some have emitted their last token."""
        return self.lockstep.ended()

    def _retire(self, job: Job, now: float) -> None:
        """Let `job` go, whose leg is over; its KV stays until it is sent to where the next leg is.

        One that calls out goes when it is said what becomes of its KV: at the beginning of the next plan.
        """
        whole = job.true_tokens
        if job.lockstep is None:
            self.stop(job)  # its leg was to prefill
        else:
            self.lockstep.leave(job)
            if job.base_emitted < whole:
                self.called.append(job)
                return
            del self.running[job]
            job.admission = 0
        if job.base_emitted == whole:
            job.finished = now
            self.kv.release(job)
