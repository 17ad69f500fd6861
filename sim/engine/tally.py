"""How many jobs each replica has, kept count of: who has nothing due is not looked at."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush

from sim.engine.prefix import PrefixCache
from sim.engine.replica import Replica
from sim.engine.view import View
from sim.job import Job
from sim.policy import ReplicaView
from sim.replicas import Group, Replicas


class Ladder:
    """Some numbers by the count that each of them has, the least first, the first of equals; `total` is their sum.

    Those that have a count are the bits of one integer in `_levels`, which is never 0.
    """

    __slots__ = ("_bits", "_levels", "_lowest", "counts", "total")

    def __init__(self, counts: dict[int, int]) -> None:
        self.counts = counts
        self._bits = {number: 1 << number for number in counts}
        self._levels: dict[int, int] = {}
        for number, count in counts.items():
            self._levels[count] = self._levels.get(count, 0) | self._bits[number]
        self._lowest = min(self._levels)
        self.total = sum(counts.values())

    def change(self, number: int, by: int) -> None:
        """`number` has so many more."""
        levels, bit, before = self._levels, self._bits[number], self.counts[number]
        self.counts[number] = after = before + by
        self.total += by
        others = levels[before] ^ bit
        if others:
            levels[before] = others
        else:
            del levels[before]
        levels[after] = levels.get(after, 0) | bit
        if after < self._lowest:
            self._lowest = after
        elif not others:
            while self._lowest not in levels:
                self._lowest += 1

    def least(self) -> tuple[int, int]:
        """The least count, and the first number that has it."""
        here = self._levels[self._lowest]
        return self._lowest, (here & -here).bit_length() - 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Each count, and a number that has it."""
        for count in sorted(self._levels):
            here = self._levels[count]
            while here:
                bit = here & -here
                yield count, bit.bit_length() - 1
                here ^= bit


class Tally:
    """Counts the jobs of `replicas` as they come and leave.

    Nobody leaves a replica before what stands there stands no longer (`Replica.stands`): so when a routing asks, only
    those are brought up to date of which that is past. They are in a heap, each once but for what is passed over.
    """

    def __init__(self, replicas: Sequence[Replica], together: bool) -> None:
        self.replicas = replicas
        self._together = together  # whether all are brought up to date by one
        self._due: list[tuple[float, int]] = []
        self._when = [math.inf] * len(replicas)  # the instant of each in the heap, s
        self._groups: list[list[CountedGroup]] = [[] for _ in replicas]  # those in which each is
        self._cached: dict[int, set[int]] | None = None  # by key of a stretch (`Told`), who may have some of it
        self._sharing: dict[int, None] = {}  # those where answers whose content is told come into the cache

    def views(self) -> Replicas:
        """What a routing sees of the replicas."""
        views = Replicas(View(replica) for replica in self.replicas)
        views.make = self.group
        return views

    def group(self, views: Sequence[ReplicaView], numbers: Sequence[int]) -> Group:
        """Those of the replicas at `numbers`; where it is one alone there is nothing to count."""
        if len(numbers) == 1:
            return Group(views, numbers)
        self.update()
        for number in numbers:
            replica = self.replicas[number]
            if not replica.counted:
                replica.counted = True
                replica.look(replica.clock.now)
                self.stirred(number)
        group = CountedGroup(self, views, numbers)
        for number in numbers:
            self._groups[number].append(group)
        return group

    def update(self) -> None:
        """Let whoever has left by now have left."""
        now: float = self.replicas[0].clock.now
        if self._together:
            self.replicas[0].look(now)
            return
        due = self._due
        while due and due[0][0] < now:
            instant, number = heappop(due)
            if instant == self._when[number]:
                self.replicas[number].look(now)
                self._when[number] = math.inf
                self.stirred(number)

    def stirred(self, number: int) -> None:
        """The replica at `number` may have something to do sooner than it had."""
        stands = self.replicas[number].stands
        if stands < self._when[number]:
            self._when[number] = stands
            heappush(self._due, (stands, number))

    def came(self, number: int, job: Job) -> None:
        """`job` has come to the replica at `number`."""
        if job.request.truth.output_ids:
            self._sharing[number] = None
        if groups := self._groups[number]:
            for group in groups:
                group.come(number)
            self.stirred(number)

    def left(self, number: int) -> None:
        """A job has left it."""
        for group in self._groups[number]:
            group.loads.change(number, -1)

    def cached(self) -> dict[int, set[int]]:
        """By key, who had cached some of that stretch when last seen, and all who have by now."""
        if self._cached is None:
            self._cached = {}
            for replica in self.replicas:
                if isinstance(replica.batch.kv, PrefixCache):
                    replica.batch.kv.tell(self._cached, replica.number)
        self.update()
        for number in self._sharing:  # elsewhere nothing comes into a cache while what is decided stands
            self.replicas[number].settle(self.replicas[number].clock.now)
        return self._cached


class CountedGroup(Group):
    """As `Group`, of a run: it is asked without a look at each replica."""

    def __init__(self, tally: Tally, views: Sequence[ReplicaView], numbers: Sequence[int]) -> None:
        super().__init__(views, numbers)
        self._tally = tally
        replicas = self._members()
        self.loads = Ladder({one.number: one.jobs for one in replicas})
        # Kept once somebody has asked: how many jobs were sent to each, and when they were, s.
        self._sent: Ladder | None = None
        self._instants: list[float] | None = None
        self._caches = [one.batch.kv for one in replicas if isinstance(one.batch.kv, PrefixCache)]
        self._alike = len({cache.block_size for cache in self._caches}) <= 1

    def come(self, number: int) -> None:
        """A job has come to the replica at `number`, one of these."""
        self.loads.change(number, 1)
        if self._sent is not None:
            self._sent.change(number, 1)
        if self._instants is not None:
            self._instants.append(self._tally.replicas[number].clock.now)

    @property
    def jobs(self) -> int:
        self._tally.update()
        return self.loads.total

    def submitted_within(self, seconds: float) -> int:
        since = self._tally.replicas[0].clock.now - seconds
        if self._instants is None:
            self._instants = sorted([instant for one in self._members() for instant in one.submitted])
        return len(self._instants) - bisect_left(self._instants, since)

    def fewest_jobs(self) -> int:
        self._tally.update()
        return self.loads.least()[1]

    def fewest_submitted(self) -> int:
        if self._sent is None:
            self._sent = Ladder({one.number: len(one.submitted) for one in self._members()})
        return self._sent.least()[1]

    def _members(self) -> list[Replica]:
        """The replicas that they are."""
        return [self._tally.replicas[number] for number in self.numbers]

    def most_cached(self, job: Job, most: int) -> int:
        """As in `Group`: those are asked who may have cached a stretch of the prompt, the last stretch first."""
        cached = self._tally.cached()
        fewest, first = self.loads.least()
        if fewest > most or not self._alike:
            return super().most_cached(job, most)
        best = 0, -fewest, -first  # tokens that are cached, jobs, index
        if not self._caches:
            return first
        told, size = self._caches[0].told(job), self._caches[0].block_size
        for key, stop in zip(reversed(told.keys), reversed(told.stops), strict=True):
            numbers = cached.get(key)
            if numbers is None:
                continue
            whole = min(stop, (job.context - 1) // size) * size  # nobody else has more
            if best[0] > whole:
                break
            for jobs, number in self._by_load(numbers, most):
                tokens = self.views[number].cached_tokens(job)
                best = max(best, (tokens, -jobs, -number))
                if tokens >= whole:
                    break  # whoever comes next has no more, and more jobs
        return -best[2]

    def _by_load(self, numbers: set[int], most: int) -> Iterator[tuple[int, int]]:
        """Jobs and index of those of `numbers` that are of the group and have `most` jobs at most, the fewest first."""
        counts = self.loads.counts
        order: Iterable[tuple[int, int]] = self.loads
        if len(numbers) ** 2 < len(counts):  # it takes less to sort them than to find them
            order = sorted([(counts[one], one) for one in numbers if one in counts])
        for jobs, number in order:
            if jobs > most:
                break
            if number in numbers:
                yield jobs, number
