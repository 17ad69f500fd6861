"""Decoding without touching every job: all that decode advance together, a token at each tick."""

from __future__ import annotations

from heapq import heappop, heappush

from sim.job import Job


class Lockstep:
    """The running jobs that are one token behind their context. A tick gives each of them one token.

    `rows` are the jobs, `context` the tokens that a decode step of all of them attends to, each to its own included.
    """

    __slots__ = ("_ends", "context", "rows", "tick")

    def __init__(self) -> None:
        self.tick = 0
        self.rows = 0
        self.context = 0
        self._ends: list[tuple[int, int, Job]] = []  # a heap of (tick of the last token, place, job)

    def join(self, job: Job) -> None:
        """Let `job`, of which one token is pending, decode with the others."""
        self.rows += 1
        self.context += job.context
        job.entered = self.tick - job.base_emitted
        job.lockstep = self
        heappush(self._ends, (job.entered + job.request.truth.output_tokens, job.place, job))

    def leave(self, job: Job) -> None:
        """Write down the progress of `job`, which has come to its end, and go on without it."""
        self.rows -= 1
        self.context -= job.context
        self._settle(job)

    def dissolve(self) -> list[Job]:
        """Write down the progress of all jobs and return them; nobody is left."""
        jobs = [job for _, _, job in self._ends]
        for job in jobs:
            self._settle(job)
        self._ends.clear()
        self.rows = self.context = 0
        return jobs

    def _settle(self, job: Job) -> None:
        job.base_computed, job.base_emitted = job.computed, job.emitted
        job.lockstep = None

    def advance(self, ticks: int) -> None:
        """Each job gets a token at each of so many ticks."""
        self.tick += ticks
        self.context += self.rows * ticks

    @property
    def ticks_to_end(self) -> int:
        """Ticks until the next job emits its last token."""
        return self._ends[0][0] - self.tick

    def ended(self) -> list[Job]:
        """Jobs that have emitted their last token, each reported once, in the order of admission within a tick."""
        ends, tick = self._ends, self.tick
        jobs = []
        while ends and ends[0][0] <= tick:
            jobs.append(heappop(ends)[2])
        return jobs
