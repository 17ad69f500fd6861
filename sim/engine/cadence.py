"""Jobs that decode together where a pass emits several tokens of each, or none."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush

import numpy as np

from sim.decoding import Decoding
from sim.engine.batch import Batch
from sim.engine.kv import KVCache
from sim.engine.lockstep import NONE, Lockstep
from sim.engine.pace import Pace
from sim.engine.plan import Plan
from sim.engine.prefix import PrefixCache
from sim.job import Job
from sim.request import Request

ROOM = 256  # ticks for which there is room at first


class Cadence(Lockstep):
    """A tick is a pass of each job. What that makes of all of them is summed up by tick when a job joins or leaves.

    `gained` are the tokens that the last pass emitted. With `grows` off the blocks of the longest answers were set
    aside.
    """

    __slots__ = ("_grows", "_make", "_rounds", "_since", "_sums", "_weights", "gained")

    def __init__(
        self, kv: KVCache, decoding: Decoding, longest: Callable[[Request, int], int], grows: bool = True
    ) -> None:
        super().__init__(kv, 0, longest)
        self.most = 1 + decoding.lookahead
        self._grows = grows
        self.gained = 0
        self._since = 0  # the tick of the first column
        self._sums = np.zeros((2, ROOM), np.int64)  # tokens emitted, blocks taken
        self._rounds = np.zeros((self.most, ROOM), np.int64)  # jobs by how many tokens are proposed to them
        self._weights = np.arange(self.most)

        def make(job: Job) -> Pace:
            room = longest(job.request, job.given - job.request.prompt_tokens)
            return Pace(decoding, job, room, kv.block_size)

        self._make = make

    def join(self, job: Job) -> None:
        pace = job.pace = job.pace or self._make(job)
        pace.joined = self.tick
        self.rows += 1
        self.context += job.given + job.base_emitted
        job.lockstep = self
        self._add(job, 1)
        heappush(self.ends, (self.tick + len(pace.emits) - pace.done, job.admission, job))
        self._look()

    def leave(self, job: Job) -> None:
        """As in `Lockstep`; `job` owns the blocks of its last pass."""
        pace = job.pace
        assert pace is not None
        self._add(job, -1)
        passes, proposed = pace.begun(self.tick)
        job.base_passes += passes
        job.base_proposed += proposed
        pace.done = done = pace.done + passes
        job.base_emitted = int(pace.emitted[done])
        job.base_computed = job.given + job.base_emitted - 1
        if done and self._grows:
            job.blocks = max(job.blocks, int(pace.held[done - 1]))
        job.lockstep = None
        self.rows -= 1
        self.context -= job.given + job.base_emitted
        self._look()

    def withdraw(self, job: Job) -> None:
        """As in `Lockstep`; `job` owns the blocks of the pass that it does not take part in."""
        super().withdraw(job)
        if self._grows and job.pace is not None:
            job.blocks = int(job.pace.held[job.pace.done])

    def emit(self, job: Job, granted: int) -> None:
        """A pass of `job` by name is over, of so many tokens.

        One that was cut short emits the token that was owed, at least, and the passes begin anew.
        """
        pace = job.pace
        assert pace is not None
        emits, whole = int(pace.emits[pace.done]), granted == pace.due
        if not whole:
            emits = min(max(1, emits), granted)
        job.base_passes += 1
        job.base_proposed += granted - 1
        job.base_emitted += emits
        job.base_computed += emits
        self.gained += emits
        pace.done += 1
        if not whole:
            job.pace = None

    def _add(self, job: Job, sign: int) -> None:
        """Count what the passes of `job` still make, or (-1) do not make."""
        pace = job.pace
        assert pace is not None
        first = pace.done + self.tick - pace.joined
        count = len(pace.emits) - first
        if count <= 0:
            return
        at = self._column(count)
        self._sums[0, at : at + count] += sign * pace.emits[first:]
        if self._grows:
            held = pace.held
            self._sums[1, at] += sign * (
                int(held[first]) - (int(held[first - 1]) if self.tick > pace.joined else job.blocks)
            )
            self._sums[1, at + 1 : at + count] += sign * (held[first + 1 :] - held[first:-1])
        self._rounds[pace.proposed[first:], np.arange(at, at + count)] += sign

    def _column(self, count: int) -> int:
        """The column of the tick that comes, with room for `count` from there on."""
        at, size = self.tick - self._since, self._sums.shape[1]
        if at + count > size:
            more = ((0, 0), (0, max(size, 2 * count) - max(0, size - at)))
            self._sums = np.pad(self._sums[:, at:], more)
            self._rounds = np.pad(self._rounds[:, at:], more)
            self._since = self.tick
            at = 0
        return at

    def advance(self, ticks: int) -> None:
        """As in `Lockstep`; the blocks of the ticks after the first are handed out."""
        at = self.tick - self._since
        if ticks > 1:
            self._take(self.growth(ticks - 1))
        emitted = self._sums[0, at : at + ticks]
        self.context += int(emitted.sum())
        self.gained = int(emitted[-1]) if self.rows else 0
        self.tick += ticks
        self._look()

    def _take(self, blocks: int) -> None:
        self.kv.free -= blocks

    # What comes

    def _look(self) -> None:
        """What is proposed in the tick that comes."""
        self.proposals = NONE
        if self.rows and (at := self.tick - self._since) < self._rounds.shape[1]:
            jobs = self._rounds[:, at]
            found = jobs.nonzero()[0]
            self.proposals = (int(jobs @ self._weights), int(found[-1])) if len(found) else NONE

    def granted(self, job: Job, ticks: int = 0) -> int:
        pace = job.pace
        assert pace is not None
        return 1 + int(pace.proposed[pace.done + self.tick - pace.joined + ticks])

    def room(self, job: Job, ticks: int, decodes: bool) -> tuple[int, int]:
        """Slots that `job` fills, and its blocks, in the tick after the next so many; as they are if none `decodes`."""
        pace = job.pace
        assert pace is not None
        at = pace.done + self.tick - pace.joined + ticks
        filled = job.given + int(pace.emitted[at]) - 1
        if decodes:
            return filled + 1 + int(pace.proposed[at]), int(pace.held[at]) if self._grows else job.blocks
        return filled, int(pace.held[at - 1]) if self._grows and at > pace.done else job.blocks

    def gains(self, ticks: int) -> list[int]:
        at = self.tick - self._since
        gained: list[int] = self._sums[0, at : at + ticks].tolist()
        return gained

    def contexts(self, ticks: int) -> list[int]:
        """The tokens that each of the next so many passes attends to, one or more."""
        at = self.tick - self._since
        return [self.context, *(self.context + np.cumsum(self._sums[0, at : at + ticks - 1])).tolist()]

    def alike(self, ticks: int) -> int:
        """How many of the next `ticks` passes propose as much as the first, in all and to one job at most."""
        at = self.tick - self._since
        jobs = self._rounds[:, at : at + ticks]
        proposed = self._weights @ jobs
        rounds = self.most - 1 - (jobs[::-1] > 0).argmax(axis=0)
        other = (proposed != proposed[0]) | (rounds != rounds[0])
        return int(other.argmax()) if other.any() else ticks

    # The blocks that the jobs take as they go

    def grow(self, spare: int = 0) -> bool:
        blocks = int(self._sums[1, self.tick - self._since]) if self.rows else 0
        if self.kv.free - blocks < spare:
            return False
        self._take(blocks)
        return True

    def growth(self, ticks: int) -> int:
        at = self.tick - self._since + 1
        return int(self._sums[1, at : at + ticks].sum())

    def takes(self, ticks: int) -> list[int]:
        at = self.tick - self._since + 1
        taken: list[int] = self._sums[1, at : at + ticks].tolist()
        return taken

    def ticks_within(self, most: int) -> int:
        at = self.tick - self._since + 1
        return int(np.searchsorted(np.cumsum(self._sums[1, at : at + most]), self.kv.free, side="right"))


class FillingCadence(Cadence):
    """The blocks that its jobs fill are known to a prefix cache from then on.

    Where nobody else can find them it is enough to say so when the job leaves; the others are looked at at each tick.
    """

    __slots__ = ("_cache", "_members")

    def __init__(self, kv: PrefixCache, decoding: Decoding, longest: Callable[[Request, int], int]) -> None:
        super().__init__(kv, decoding, longest)
        self._cache = kv
        self._members: dict[Job, None] = {}  # jobs whose answer is told

    def join(self, job: Job) -> None:
        super().join(job)
        if job.request.truth.output_ids:
            self.shares_output = True
            self._members[job] = None

    def leave(self, job: Job) -> None:
        super().leave(job)
        self._members.pop(job, None)
        self._cache.fill(job, job.base_computed)

    def withdraw(self, job: Job) -> None:
        super().withdraw(job)
        self._cache.fill(job, job.base_computed + 1)

    def advance(self, ticks: int) -> None:
        if self._members:
            for _ in range(1, ticks):
                super().advance(1)
                self.grow()
            ticks = 1
        super().advance(ticks)

    def grow(self, spare: int = 0) -> bool:
        """As in `Cadence`; the blocks that are filled at this tick are known from then on."""
        if not super().grow(spare):
            return False
        for job in sorted(self._members, key=lambda job: job.admission):
            self._cache.fill(job, job.computed + 1)
        return True

    def _take(self, blocks: int) -> None:
        self._cache.take(blocks)


class CadenceBatch(Batch):
    """The jobs that run where a pass emits several tokens: one that has just entered owes its first alone."""

    def __init__(self, kv: KVCache, lockstep: Cadence) -> None:
        super().__init__(kv, lockstep)
        self._cadence = lockstep

    def stop(self, job: Job) -> None:
        super().stop(job)
        job.pace = None

    def _compute(self, plan: Plan) -> list[Job]:
        if not plan.decodes:
            self._cadence.gained = 0
        leaving: list[Job] = []
        for job, granted in [*plan.grants.items()]:
            if job.pace is None:
                self._cadence.gained += granted == 1
                continue
            self._cadence.emit(job, granted)
            del plan.grants[job], self.by_name[job]
            self.prefills += 1
            self.lockstep.join(job)
        leaving += super()._compute(plan)
        return leaving

    def _retire(self, job: Job, now: float) -> None:
        super()._retire(job, now)
        job.pace = None
