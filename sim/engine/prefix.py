"""A KV cache that shares blocks of equal content, as vLLM's prefix caching does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from sim.engine.kv import KVCache
from sim.job import Job


class Block:
    """A full block: `key` stands for its tokens and all before them; `owners` jobs hold it."""

    __slots__ = ("key", "owners")

    def __init__(self, key: int) -> None:
        self.key = key
        self.owners = 1


class PrefixCache(KVCache):
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
        for block in job.cached_blocks[len(found) : (job.context - 1) // self.block_size]:
            if block not in self._known.get(block.key, ()):
                break
            found.append(block)
        return found

    def _content(self, job: Job, number: int) -> tuple[int, ...]:
        """The ids of what block `number` of `job` holds; empty where the trace does not tell."""
        request, size = job.request, self.block_size
        first, last = number * size, (number + 1) * size
        prompt = request.prompt_tokens
        if request.prompt_ids and last <= prompt:
            return request.prompt_ids[first // request.id_tokens : -(-last // request.id_tokens)]
        if (
            request.prompt_ids
            and request.truth.output_ids
            and (not request.truth.pauses or last <= prompt + request.truth.pauses[0].emitted)
        ):
            return request.prompt_ids[first:prompt] + request.truth.output_ids[max(0, first - prompt) : last - prompt]
        return ()

    def shared(self, job: Job) -> Sequence[Block]:
        """As in `KVCache`."""
        return job.cached_blocks

    def missing(self, job: Job, tokens: int, found: Sequence[Block] = ()) -> int:
        """As in `KVCache`; what was found and is in nobody's use counts too, for it is free until it is taken."""
        unused = sum(not block.owners for block in found)
        return max(0, -(-tokens // self.block_size) - job.blocks - len(found)) + unused

    def allocate(self, job: Job, tokens: int, found: Sequence[Block] = ()) -> None:
        """As in `KVCache`; the blocks that `tokens` fill are known from now on, but for a token that is on its way."""
        if not job.blocks:
            job.cached_blocks = list(found)
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
        blocks: list[Block] = job.cached_blocks  # type: ignore[assignment]  # a list since `allocate`
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
        blocks: list[Block] = job.cached_blocks  # type: ignore[assignment]  # a list since `allocate`
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
        blank = job.blocks - len(job.cached_blocks)
        self._blank += blank
        self.free += blank
        for block in reversed(job.cached_blocks):
            block.owners -= 1
            if not block.owners:
                self._unused[block] = None
                self.free += 1
        job.blocks = 0
