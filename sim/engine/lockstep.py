"""Decoding without touching every job: all that decode advance together, a token at each tick."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from sim.engine.kv import KVCache
from sim.job import Job, Ticker
from sim.request import Request

NONE = (0, 0)


class Lockstep(Ticker):
    """The running jobs that are one token behind their context. A tick gives each of them one token.

    `rows` are the jobs, `context` the tokens that a decode step of all of them attends to, each to its own included;
    `ends` is a heap of (tick of the last token, number of admission, job). As they are, their KV was set aside when
    they were admitted; see `sim.engine.growth` for those that take it as they go.

    A job that calls out ends too, with the last token before its call. Where ticks are begun `ahead`, a job that does
    so, or stops before the `longest` answer that its request is allowed, does so unforeseen: it is given as many ticks
    more.
    """

    __slots__ = ("_longest", "context", "ends", "kv", "most", "proposals", "rows", "shares_output")

    def __init__(self, kv: KVCache, ahead: int = 0, longest: Callable[[Request, int], int] | None = None) -> None:
        super().__init__(ahead)
        self._longest = longest
        self.most = 1  # tokens that a job may emit at a tick
        self.proposals = NONE  # tokens proposed in the tick that comes, beyond one for each job; the most to one job
        self.kv = kv
        self.rows = 0
        self.context = 0
        self.ends: list[tuple[int, int, Job]] = []
        self.shares_output = False  # whether a block that one of them fills may be found by another job

    def join(self, job: Job) -> None:
        """Let `job`, of which one token is pending, decode with the others."""
        self.rows += 1
        self.context += job.given + job.padding + job.base_emitted
        job.entered = self.tick - job.base_emitted
        job.lockstep = self
        end = job.entered + job.ends_at
        if self.ahead and not self._foreseen(job):
            end += self.ahead
        heappush(self.ends, (end, job.admission, job))

    def _foreseen(self, job: Job) -> bool:
        """Whether its last tick is known beforehand, for then it has emitted all that it may."""
        request = job.request
        if self._longest is None:
            return not job.true_pauses
        return job.ends_at >= self._longest(request, job.given - request.prompt_tokens)

    def leave(self, job: Job) -> None:
        """Write down the progress of `job`, and go on without it."""
        sampled, most = self.tick - job.entered, job.ends_at
        context = job.given + job.padding + sampled
        job.base_emitted = sampled if sampled < most else most
        job.base_computed = context - 1
        job.lockstep = None
        self.rows -= 1
        self.context -= context

    def longest(self) -> int:
        """The longest context of the jobs, in tokens."""
        return max((job.context for _, _, job in self.ends), default=0)

    def withdraw(self, job: Job) -> None:
        """`job` leaves in the midst of a step: it keeps the block that `grow` gave it, and does not get its token."""
        self.ends = [entry for entry in self.ends if entry[2] is not job]
        heapify(self.ends)
        self.leave(job)

    def dissolve(self) -> None:
        """All jobs leave."""
        for _, _, job in self.ends:
            self.leave(job)
        self.ends.clear()

    def advance(self, ticks: int) -> None:
        """Each job gets a token at each of so many ticks; `grow` has handed out the blocks of the first."""
        self.tick += ticks
        self.context += self.rows * ticks

    def granted(self, job: Job, ticks: int = 0) -> int:
        """The tokens that `job` is granted in the tick after the next so many."""
        return 1

    def gains(self, ticks: int) -> list[int]:
        """By how many tokens the total context grows in each of the next so many ticks."""
        return [self.rows] * ticks

    def ended(self) -> list[Job]:
        """Jobs that have emitted their last token, each reported once, in the order of admission within a tick."""
        ends, tick = self.ends, self.tick
        jobs: list[Job] = []
        while ends and ends[0][0] <= tick:
            jobs.append(heappop(ends)[2])
        return jobs

    # The blocks that the jobs take as they go

    def grow(self, spare: int = 0) -> bool:
        """Hand out the blocks that are taken at this tick, if `spare` blocks are left then."""
        return self.kv.free >= spare

    def growth(self, ticks: int) -> int:
        """Blocks that are taken in so many ticks after this one."""
        return 0

    def takes(self, ticks: int) -> list[int]:
        """The same, in each of them."""
        return [0] * ticks

    def ticks_within(self, most: int) -> int:
        """For how many ticks after this one, `most` at most, the free blocks last."""
        return most
