"""Decoding without touching every job: all that decode advance together, a token at each tick."""

from __future__ import annotations

from heapq import heappop, heappush

from sim.job import Job


class Lockstep:
    """The running jobs that are one token behind their context. A tick gives each of them one token.

    `rows` are the jobs, `context` the tokens that a decode step of all of them attends to, each to its own included;
    `ends` is a heap of (tick of the last token, place, job).
    """

    __slots__ = ("context", "ends", "rows", "tick")

    def __init__(self) -> None:
        self.tick = 0
        self.rows = 0
        self.context = 0
        self.ends: list[tuple[int, int, Job]] = []

    def join(self, job: Job) -> None:
        """Let `job`, of which one token is pending, decode with the others."""
        request = job.request
        self.rows += 1
        self.context += request.prompt_tokens + job.padding + job.base_emitted
        job.entered = self.tick - job.base_emitted
        job.lockstep = self
        heappush(self.ends, (job.entered + request.truth.output_tokens, job.place, job))

    def leave(self, job: Job) -> None:
        """Write down the progress of `job`, and go on without it."""
        request = job.request
        sampled = self.tick - job.entered
        context = request.prompt_tokens + job.padding + sampled
        job.base_emitted = min(sampled, request.truth.output_tokens)
        job.base_computed = context - 1
        job.lockstep = None
        self.rows -= 1
        self.context -= context

    def dissolve(self) -> list[Job]:
        """All jobs leave, and are returned."""
        jobs = [job for _, _, job in self.ends]
        for job in jobs:
            self.leave(job)
        self.ends.clear()
        return jobs

    def advance(self, ticks: int) -> None:
        """Each job gets a token at each of so many ticks."""
        self.tick += ticks
        self.context += self.rows * ticks

    def ended(self) -> list[Job]:
        """Jobs that have emitted their last token, each reported once, in the order of admission within a tick."""
        ends, tick = self.ends, self.tick
        jobs: list[Job] = []
        while ends and ends[0][0] <= tick:
            jobs.append(heappop(ends)[2])
        return jobs
