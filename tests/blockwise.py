"""Prefix caching block by block, one after another: what the engine's runs of blocks are to come to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from sim.engine.growth import GrowingLockstep
from sim.engine.kv import KVCache
from sim.engine.lockstep import Lockstep
from sim.job import Job
from sim.request import Request


class Block:
    """A full block: `key` stands for its tokens and all before them; `owners` jobs hold it."""

    __slots__ = ("key", "owners")
    blocks = 1  # in this run

    def __init__(self, key: int) -> None:
        self.key = key
        self.owners = 1


class BlockwiseCache(KVCache):
    """Full blocks keep their content when they are freed, and are evicted least recently used first.

    Free blocks without content are handed out first. A block is known as soon as its last token is scheduled; equal
    blocks of different jobs are not merged, and the one that was full first is found.
    """

    __slots__ = ("_blank", "_known", "_unshared", "_unused")

    def __init__(self, total: int, block_size: int) -> None:
        super().__init__(total, block_size)
        self._blank = total  # free blocks without content
        self._unused: OrderedDict[Block, None] = OrderedDict()  # free blocks with content, the next to evict first
        self._known: dict[int, dict[Block, None]] = {}  # full blocks by key, the first to be full first
        self._unshared = 0  # keys given so far to blocks whose content nobody else can have

    def find(self, job: Job) -> Sequence[Block]:
        """The longest run of known blocks at the start of `job`'s context; one token at least is left to compute."""
        found: list[Block] = []
        key = 0
        for number in range((job.context - 1) // self.block_size):
            content = self._content(job, number)
            if not content:
                # Only the job itself can have computed this block: its own blocks, freed when it was preempted.
                return self._own(job, found)
            key = hash((key, content))
            known = self._known.get(key)
            if known is None:
                break
            found.append(next(iter(known)))
        return found

    def _own(self, job: Job, found: list[Block]) -> list[Block]:
        """`found`, and the blocks after them that `job` itself filled and that are still there."""
        for block in job.cached_runs[len(found) : (job.context - 1) // self.block_size]:
            if block not in self._known.get(block.key, ()):
                break
            found.append(block)
        return found

    def _content(self, job: Job, number: int) -> tuple[int, ...]:
        """The ids of what block `number` of `job` holds; empty where the trace does not tell."""
        request, size = job.request, self.block_size
        first, last = number * size, (number + 1) * size
        prompt, truth = request.prompt_tokens, request.truth
        if request.prompt_ids and last <= prompt:
            return request.prompt_ids[first // request.id_tokens : -(-last // request.id_tokens)]
        if request.prompt_ids and truth.output_ids:
            if truth.pauses and last > prompt + truth.pauses[0].emitted:
                return ()
            return request.prompt_ids[first:prompt] + truth.output_ids[max(0, first - prompt) : last - prompt]
        return ()

    def shared(self, job: Job) -> Sequence[Block]:
        """As in `KVCache`; what it held before it was released is kept for `_own` alone."""
        return job.cached_runs if job.blocks else ()

    def missing(self, job: Job, tokens: int, found: Sequence[Block] = ()) -> int:
        """As in `KVCache`; what was found and is in nobody's use counts too, for it is free until it is taken."""
        unused = sum(not block.owners for block in found)
        return max(0, -(-tokens // self.block_size) - job.blocks - len(found)) + unused

    def allocate(self, job: Job, tokens: int, found: Sequence[Block] = ()) -> None:
        """As in `KVCache`; the blocks that `tokens` fill are known from now on, but for a token that is on its way."""
        if not job.blocks:
            job.cached_runs = list(found)
            for block in found:
                if not block.owners:
                    del self._unused[block]
                    self.free -= 1
                block.owners += 1
            job.blocks = len(found)
        more = max(0, -(-tokens // self.block_size) - job.blocks)
        if more > self.free:
            raise RuntimeError(f"{job} asks for {more} more blocks, {self.free} are free")
        self.take(more)
        job.blocks += more
        self.fill(job, min(tokens, job.context - job.ahead))

    def take(self, blocks: int) -> None:
        """Take so many free blocks, without content if there are any."""
        for _ in range(blocks):
            self.free -= 1
            if self._blank:
                self._blank -= 1
                continue
            block, _ = self._unused.popitem(last=False)
            known = self._known[block.key]
            del known[block]
            if not known:
                del self._known[block.key]

    def fill(self, job: Job, tokens: int) -> None:
        """As in `KVCache`: they are found from now on."""
        blocks: list[Block] = job.cached_runs
        for number in range(len(blocks), tokens // self.block_size):
            content = self._content(job, number)
            if content:
                key = hash((blocks[-1].key if blocks else 0, content))
            else:
                self._unshared -= 1
                key = self._unshared
            block = Block(key)
            blocks.append(block)
            self._known.setdefault(key, {})[block] = None

    def forget(self, job: Job, tokens: int) -> None:
        """As in `KVCache`; blocks that it was to fill are not known, unless somebody found them at once."""
        blocks: list[Block] = job.cached_runs
        while len(blocks) > tokens // self.block_size and blocks[-1].owners == 1:
            block = blocks.pop()
            known = self._known[block.key]
            del known[block]
            if not known:
                del self._known[block.key]

    def release(self, job: Job) -> None:
        """As in `KVCache`; blocks with content stay, the last of `job` to be evicted first."""
        if not job.blocks:
            return
        blank = job.blocks - len(job.cached_runs)
        self._blank += blank
        self.free += blank
        for block in reversed(job.cached_runs):
            block.owners -= 1
            if not block.owners:
                self._unused[block] = None
                self.free += 1
        job.blocks = 0


class BlockwiseLockstep(GrowingLockstep):
    """The blocks that its jobs fill are known to a prefix cache from then on.

    They are looked at one by one, in the order of admission, so a tick costs as much as it fills blocks.
    """

    __slots__ = ("_cache", "_members")

    def __init__(self, kv: BlockwiseCache, ahead: int = 0, longest: Callable[[Request], int] | None = None) -> None:
        super().__init__(kv, ahead, longest)
        self._cache = kv
        self._members: list[dict[Job, None]] = [{} for _ in range(kv.block_size)]  # by phase

    def join(self, job: Job) -> None:
        super().join(job)
        self.shares_output = self.shares_output or bool(job.request.truth.output_ids)
        self._members[(self.tick - job.base_computed) % len(self._members)][job] = None

    def leave(self, job: Job) -> None:
        super().leave(job)
        del self._members[(self.tick - job.base_computed) % len(self._members)][job]

    def advance(self, ticks: int) -> None:
        Lockstep.advance(self, 1)
        for _ in range(1, ticks):
            self.grow()
            Lockstep.advance(self, 1)

    def grow(self, spare: int = 0) -> bool:
        """As in `GrowingLockstep`; the blocks that are filled at this tick are known from then on.

        A token that is on its way fills none.
        """
        cache, members, size = self._cache, self._members, self._cache.block_size
        blocks = len(members[self.tick % size])
        if cache.free - blocks < spare:
            return False
        cache.take(blocks)
        for job in sorted(members[(self.tick + 1 - self.ahead) % size], key=lambda job: job.admission):
            cache.fill(job, job.computed + 1 - self.ahead)
        return True
