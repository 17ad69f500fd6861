"""A KV cache that shares blocks of equal content, as vLLM's prefix caching does."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence, Sized
from operator import attrgetter

from sim.engine.kv import KVCache
from sim.engine.told import Told
from sim.job import Job


class Run:
    """Full blocks `start` to `stop` of a context, of equal content, that the same `owners` jobs hold.

    `key` stands for their content and all before them; it is a job where only that job can know them, and None where
    nobody can any longer. A run that nobody holds stands in a ring, between one freed before it and one freed after it.
    """

    __slots__ = ("after", "before", "key", "owners", "start", "stop")

    def __init__(self, key: int | Job | None, start: int, stop: int) -> None:
        self.key = key
        self.start = start
        self.stop = stop
        self.owners = 0
        self.before = self.after = self

    @property
    def blocks(self) -> int:
        """How many they are."""
        return self.stop - self.start

    def link(self, after: Run) -> None:
        """Stand in the ring before `after`."""
        before = after.before
        self.before, self.after = before, after
        before.after = after.before = self

    def unlink(self) -> None:
        """Leave the ring."""
        self.before.after, self.after.before = self.after, self.before


_start = attrgetter("start")
Piece = tuple[Run, int, int]  # of a run, the blocks from one to another


class Found:
    """So many `blocks` of the start of a context, from its first on, in `pieces` of runs."""

    __slots__ = ("blocks", "pieces")

    def __init__(self) -> None:
        self.blocks = 0
        self.pieces: list[Piece] = []

    def __len__(self) -> int:
        return self.blocks

    def add(self, run: Run, until: int) -> None:
        """Find the next blocks, up to `until`, in `run`."""
        self.pieces.append((run, self.blocks, until))
        self.blocks = until


class PrefixCache(KVCache):
    """Full blocks keep their content when they are freed, and are evicted least recently used first.

    Free blocks without content are handed out first. A block is known as soon as its last token is scheduled; equal
    blocks of different jobs are not merged, and the one that was full first is found.

    Blocks are kept in runs, which are split where one of their blocks becomes different from the others. Within a run
    the last is evicted first. Blocks are counted as in the context of those who hold them: the first is 0.
    """

    __slots__ = ("_blank", "_holders", "_known", "_number", "_unused", "_where")

    def __init__(self, total: int, block_size: int) -> None:
        super().__init__(total, block_size)
        self._blank = total  # free blocks without content
        self._unused = Run(None, 0, 0)  # the ring of free blocks with content: after it the next to evict
        self._holders: dict[Job, None] = {}  # jobs that hold blocks
        self._known: dict[int | Job, list[Run]] = {}  # by key; of those with the same block the first to have it full
        self._where: dict[int, set[int]] | None = None  # by key, the caches in which it is known: `_number` is its own
        self._number = 0

    def tell(self, where: dict[int, set[int]], number: int) -> None:
        """Have `number` in `where`, from now on, at each key of a told stretch of which blocks are known here."""
        self._where, self._number = where, number
        for key in self._known:
            if isinstance(key, int):
                where.setdefault(key, set()).add(number)

    def find(self, job: Job) -> Found:
        """The longest run of known blocks at the start of `job`'s context; one token at least is left to compute."""
        found, known = Found(), self._known
        told, most = self.told(job), (job.context - 1) // self.block_size
        if not most:
            return found
        for key, stop in zip(told.keys, told.stops, strict=True):
            runs = known.get(key)
            if runs is None:
                return found
            until = stop if stop < most else most
            if runs[0].start <= found.blocks and runs[0].stop >= until:
                found.add(runs[0], until)
            elif not self._find(runs, until, found):
                return found
            if stop >= most:
                return found
        # Only the job itself can have computed what follows: its own blocks, freed when it was preempted.
        self._find(known.get(job, ()), most, found)
        return found

    def _find(self, runs: Sequence[Run], until: int, found: Found) -> bool:
        """Find the blocks up to `until` in the first of `runs` that has them; whether they are there.

        A run that begins later is not before it: who filled that had blocks before it that were full sooner, and are
        evicted later.
        """
        while found.blocks < until:
            for run in runs:
                if run.start <= found.blocks < run.stop:
                    found.add(run, min(until, run.stop))
                    break
            else:
                return False
        return True

    def told(self, job: Job) -> Told:
        """What the trace tells of `job`, kept with it."""
        told: Told | None = job.told
        if told is None or told.size != self.block_size:
            told = job.told = Told(job, self.block_size)
        return told

    def shared(self, job: Job) -> Sequence[Run]:
        """As in `KVCache`."""
        runs: Sequence[Run] = job.cached_runs
        return runs

    def missing(self, job: Job, tokens: int, found: Sized = ()) -> int:
        """As in `KVCache`; what was found and is in nobody's use counts too, for it is free until it is taken."""
        more = max(0, -(-tokens // self.block_size) - job.blocks - len(found))
        if isinstance(found, Found):
            more += sum(stop - start for run, start, stop in found.pieces if not run.owners)
        return more

    def allocate(self, job: Job, tokens: int, found: Sized = ()) -> None:
        """As in `KVCache`; the blocks that `tokens` fill are known from now on, but for a token that is on its way."""
        if not job.blocks:
            self._hold(job, found.pieces if isinstance(found, Found) else ())
            job.blocks = len(found)
        more = max(0, -(-tokens // self.block_size) - job.blocks)
        if more > self.free:
            raise RuntimeError(f"{job} asks for {more} more blocks, {self.free} are free")
        self.take(more)
        job.blocks += more
        self.fill(job, min(tokens, job.context - job.ahead))

    def _hold(self, job: Job, pieces: Sequence[Piece]) -> None:
        """Let `job` be an owner of `pieces`, and forget what else it once knew alone."""
        runs = job.cached_runs = [self._cut_out(*piece) for piece in reversed(pieces)]  # a run keeps its beginning
        runs.reverse()
        for run in runs:
            if not run.owners:
                run.unlink()
                self.free -= run.stop - run.start
            run.owners += 1
        self._holders[job] = None
        for run in self._known.pop(job, ()):
            if run.owners:
                self._known[job] = [run]
            else:
                run.key = None

    def _cut_out(self, run: Run, start: int, stop: int) -> Run:
        """`run` as a run of these of its blocks alone; what is left is as it was before."""
        if stop < run.stop:
            self._split(run, stop)
        return self._split(run, start) if start > run.start else run

    def _split(self, run: Run, at: int) -> Run:
        """Split `run` before block `at`: the new run of those behind it, which are evicted sooner."""
        rest = Run(run.key, at, run.stop)
        run.stop = at
        if run.key is not None:
            known = self._known[run.key]
            known.insert(known.index(run) + 1, rest)
        rest.owners = run.owners
        if not run.owners:
            rest.link(run)
            return rest
        for job in self._holders:
            runs = job.cached_runs
            place = bisect_left(runs, run.start, key=_start)
            if place < len(runs) and runs[place] is run:
                runs.insert(place + 1, rest)
        return rest

    def take(self, blocks: int) -> None:
        """Take so many free blocks, without content if there are any."""
        self.free -= blocks
        blank = min(blocks, self._blank)
        self._blank -= blank
        blocks -= blank
        unused = self._unused
        run = unused.after
        while blocks:
            if run is unused:
                raise RuntimeError(f"{blocks} blocks are to be taken that are not free")
            length = run.stop - run.start
            if length > blocks:
                run.stop -= blocks
                break
            blocks -= length
            self._lose(run)
            run = run.after
        unused.after, run.before = run, unused

    def _lose(self, run: Run) -> None:
        """Nobody finds `run` any longer."""
        if run.key is None:
            return
        known = self._known[run.key]
        if len(known) == 1:
            del self._known[run.key]
            if self._where is not None and isinstance(run.key, int):
                self._where[run.key].discard(self._number)
                if not self._where[run.key]:
                    del self._where[run.key]
        else:
            known.remove(run)

    def fill(self, job: Job, tokens: int) -> None:
        """As in `KVCache`: they are found from now on."""
        runs = job.cached_runs
        full, last = runs[-1].stop if runs else 0, tokens // self.block_size
        if full >= last:
            return
        told = self.told(job)
        keys, stops = told.keys, told.stops
        for number in range(bisect_right(stops, full), len(stops)):
            stop = stops[number]
            if stop >= last:
                self._add(job, keys[number], full, last)
                return
            self._add(job, keys[number], full, stop)
            full = stop
        self._add(job, job, full, last)

    def _add(self, job: Job, key: int | Job, start: int, stop: int) -> None:
        """`job` has filled these blocks."""
        runs, known = job.cached_runs, self._known.get(key)
        if known is None:
            run = Run(key, start, stop)
            self._known[key] = [run]
            if self._where is not None and isinstance(key, int):
                self._where.setdefault(key, set()).add(self._number)
        elif runs and known[-1] is runs[-1] and known[-1].owners == 1:
            known[-1].stop = stop
            return
        else:
            run = Run(key, start, stop)
            known.append(run)
        run.owners = 1
        runs.append(run)

    def forget(self, job: Job, tokens: int) -> None:
        """As in `KVCache`; blocks that it was to fill are not known, unless somebody found them at once."""
        runs, full = job.cached_runs, tokens // self.block_size
        while runs and runs[-1].stop > full and runs[-1].owners == 1:
            if runs[-1].start < full:
                runs[-1].stop = full
            else:
                self._lose(runs.pop())

    def release(self, job: Job) -> None:
        """As in `KVCache`; blocks with content stay, the last of `job` to be evicted first."""
        if not job.blocks:
            return
        runs, unused = job.cached_runs, self._unused
        blank = job.blocks - (runs[-1].stop if runs else 0)
        self._blank += blank
        self.free += blank
        last = unused.before
        for run in reversed(runs):
            run.owners -= 1
            if not run.owners:
                last.after, run.before, last = run, last, run
                self.free += run.stop - run.start
        last.after, unused.before = unused, last
        del self._holders[job]
        job.cached_runs = ()
        job.blocks = 0
        if job.finished is not None:
            job.told = None
