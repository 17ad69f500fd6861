"""A lockstep whose jobs take KV blocks as they go."""

from __future__ import annotations

from collections.abc import Callable

from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.engine.prefix import PrefixCache
from sim.job import Job
from sim.request import Request


class GrowingLockstep(Lockstep):
    """Each job takes a block every `block_size` ticks, as its last is full.

    Nobody needs a look: it is enough to count the jobs by phase, the tick modulo `block_size` at which they do. A job
    that joins owns just the blocks of its computed tokens.
    """

    __slots__ = ("_phases", "_size")

    def __init__(self, kv: KVCache, ahead: int = 0, longest: Callable[[Request, int], int] | None = None) -> None:
        super().__init__(kv, ahead, longest)
        self._size = kv.block_size
        self._phases = [0] * kv.block_size

    def join(self, job: Job) -> None:
        Lockstep.join(self, job)
        self._phases[(self.tick - job.base_computed) % self._size] += 1

    def leave(self, job: Job) -> None:
        """As in `Lockstep`; `job` owns the blocks of what it has computed."""
        Lockstep.leave(self, job)
        size, computed = self._size, job.base_computed
        self._phases[(self.tick - computed) % size] -= 1
        job.blocks = -(-computed // size)

    def withdraw(self, job: Job) -> None:
        super().withdraw(job)
        job.blocks = job.base_computed // self._size + 1

    def dissolve(self) -> None:
        """As if each did `leave`, in a third of the time: where jobs are served by rank it is done again and again."""
        if type(self) is not GrowingLockstep:  # whose `leave` may be another
            super().dissolve()
            return
        tick, phases, size = self.tick, self._phases, self._size
        for _, _, job in self.ends:
            sampled, most = tick - job.entered, job.ends_at
            context = job.given + job.padding + sampled
            self.context -= context
            job.base_emitted = sampled if sampled < most else most
            job.base_computed = computed = context - 1
            job.blocks = -(-computed // size)
            job.lockstep = None
            phases[(tick - computed) % size] -= 1
        self.rows -= len(self.ends)
        self.ends.clear()

    def advance(self, ticks: int) -> None:
        """As in `Lockstep`; the blocks of the ticks after the first are handed out."""
        if ticks > 1:
            self.kv.free -= self.growth(ticks - 1)
        self.tick += ticks
        self.context += self.rows * ticks

    def grow(self, spare: int = 0) -> bool:
        kv = self.kv
        left = kv.free - self._phases[self.tick % self._size]
        if left < spare:
            return False
        kv.free = left
        return True

    def growth(self, ticks: int) -> int:
        phases, size = self._phases, self._size
        first = (self.tick + 1) % size
        last = first + ticks % size
        blocks = sum(phases[first:last]) if last <= size else self.rows - sum(phases[last - size : first])
        return blocks + ticks // size * self.rows

    def takes(self, ticks: int) -> list[int]:
        phases, size = self._phases, self._size
        first = (self.tick + 1) % size
        return (phases * (2 + ticks // size))[first : first + ticks]

    def ticks_within(self, most: int) -> int:
        free = self.kv.free
        if self.rows * (most // self._size + 1) <= free or self.growth(most) <= free:
            return most
        enough, short = 0, most
        while short - enough > 1:
            middle = (enough + short) // 2
            if self.growth(middle) <= free:
                enough = middle
            else:
                short = middle
        return enough


class FillingLockstep(GrowingLockstep):
    """The blocks that its jobs fill are known to a prefix cache from then on.

    Where nobody else can find them it is enough to say so when the job leaves. The others are looked at one by one, in
    the order of admission, so a tick costs as much as it fills of these.
    """

    __slots__ = ("_cache", "_members")

    def __init__(self, kv: PrefixCache, ahead: int = 0, longest: Callable[[Request, int], int] | None = None) -> None:
        super().__init__(kv, ahead, longest)
        self._cache = kv
        self._members: dict[int, dict[Job, None]] = {}  # jobs whose answer is told, by phase

    def join(self, job: Job) -> None:
        super().join(job)
        if job.request.truth.output_ids:
            self.shares_output = True
            self._members.setdefault(self._phase(job), {})[job] = None

    def leave(self, job: Job) -> None:
        super().leave(job)
        if job.request.truth.output_ids:
            phase = self._phase(job)
            members = self._members[phase]
            del members[job]
            if not members:
                del self._members[phase]
        self._cache.fill(job, job.base_computed - self.ahead)

    def withdraw(self, job: Job) -> None:
        super().withdraw(job)
        self._cache.fill(job, job.base_computed + 1 - self.ahead)

    def _phase(self, job: Job) -> int:
        return (self.tick - job.base_computed) % self._cache.block_size

    def advance(self, ticks: int) -> None:
        if self._members:
            for _ in range(1, ticks):
                Lockstep.advance(self, 1)
                self.grow()
            ticks = 1
        elif ticks > 1:
            self._cache.take(self.growth(ticks - 1))
        Lockstep.advance(self, ticks)

    def grow(self, spare: int = 0) -> bool:
        """As in `GrowingLockstep`; the blocks that are filled at this tick are known from then on.

        A token that is on its way fills none.
        """
        cache, size = self._cache, self._cache.block_size
        blocks = self._phases[self.tick % size]
        if cache.free - blocks < spare:
            return False
        if blocks:
            cache.take(blocks)
        if self._members:
            members = self._members.get((self.tick + 1 - self.ahead) % size, ())
            for job in sorted(members, key=lambda job: job.admission):
                cache.fill(job, job.computed + 1 - self.ahead)
        return True
