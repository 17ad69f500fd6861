"""Gittins's index: the least that must be served, on average, for each answer that ends so."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise

from policies.order.distributed import distribution_of
from sim.job import Job
from sim.policy import ALWAYS, FixedOrder, Stands
from sim.prediction import Distribution

DIGITS = 6  # of the ages of an index: no whole token is so near to a point that what lies between is lost in rounding


@dataclass(frozen=True, slots=True)
class Index:
    """The rank of a law at each age a, tokens: the least over D of E[min(S - a, D) | S > a] / P(S - a <= D | S > a).

    Point k of the law is `ages[k]`, up to which a share `done[k]` of the answers is through and `spent[k]` tokens are
    emitted on average. In that plane the rank at an age is the least slope from it to a point beyond, which is on the
    lower hull of those: `after[k]` is the next of the hull that begins at point k. So a rank costs no more than a
    search, and the whole index one pass from the last point back. A law is straight between its points, where only ends
    of stretches can be best; and there ranks fall with age. `rises` are the points at which they do not.
    """

    ages: tuple[float, ...]
    done: tuple[float, ...]
    spent: tuple[float, ...]
    after: tuple[int, ...]
    rises: tuple[float, ...]

    def rank(self, age: float) -> float:
        """Tokens per answer that ends; infinite where nothing is known any more."""
        beyond = bisect_right(self.ages, age)
        if beyond == len(self.ages):
            return math.inf
        done, spent = self._at(age, beyond)
        best, point = self._slope(done, spent, beyond), beyond
        while (point := self.after[point]) < len(self.ages):
            slope = self._slope(done, spent, point)
            if slope > best:
                break
            best = slope
        return best

    def next_age(self, age: float) -> float:
        """The age after `age` until which the rank falls; infinite after the last."""
        beyond = bisect_right(self.rises, age)
        return self.rises[beyond] if beyond < len(self.rises) else math.inf

    def _at(self, age: float, beyond: int) -> tuple[float, float]:
        """Answers through, and tokens emitted on average, up to `age`, which comes before the point `beyond`."""
        if beyond == 0:
            return 0.0, age
        since, until = self.ages[beyond - 1], self.ages[beyond]
        done = self.done[beyond - 1] + (self.done[beyond] - self.done[beyond - 1]) * (age - since) / (until - since)
        return done, self.spent[beyond - 1] + (age - since) * (1 - (self.done[beyond - 1] + done) / 2)

    def _slope(self, done: float, spent: float, point: int) -> float:
        through = self.done[point] - done
        return (self.spent[point] - spent) / through if through > 0 else math.inf


@lru_cache(maxsize=1 << 14)
def index_of(law: Distribution, trusted: float) -> Index:
    """The index of `law`, of which the longest share 1 - `trusted` is taken not to end at all."""
    last = law.quantile(trusted)
    points = [(0.0, 0.0), (law.lengths[0], 0.0)]
    points += [(age, done) for age, done in zip(law.lengths, law.levels, strict=True) if done < trusted]
    points += [(last, trusted)]
    points = [(round(age, DIGITS), done) for age, done in points]
    ages, done = zip(*points, strict=True)
    steps = ((until - since) * (1 - (low + high) / 2) for (since, low), (until, high) in pairwise(points))
    spent = tuple(accumulate(steps, initial=0.0))
    after = [len(points)] * len(points)
    for point in reversed(range(len(points) - 1)):
        # The hull of the points behind, from the nearest on: drop those that lie above a line to a later one.
        following = point + 1
        while (later := after[following]) < len(points) and _above(following, later, point, done, spent):
            following = later
        after[point] = following
    index = Index(ages, done, spent, tuple(after), ())
    return replace(index, rises=tuple(_rises(index)))


def _rises(index: Index) -> Iterator[float]:
    """Ages at which some answers end, or at which it would have been better to go just so far than it is to go on."""
    ages, done, first = index.ages, index.done, 0
    for last, age in enumerate(ages):
        if last + 1 < len(ages) and ages[last + 1] == age:
            continue
        if first > 0:
            width, through = age - ages[first - 1], done[first] - done[first - 1]
            just_before = (1 - done[first]) * width / through if through > 0 else math.inf
            if done[last] > done[first] or last + 1 == len(ages) or just_before <= index.rank(age) * (1 + 1e-9):
                yield age
        first = last + 1


def _above(middle: int, last: int, first: int, done: tuple[float, ...], spent: tuple[float, ...]) -> bool:
    """Whether the point `middle` lies on or above the straight line from `first` to `last`."""
    return (spent[middle] - spent[first]) * (done[last] - done[first]) >= (spent[last] - spent[first]) * (
        done[middle] - done[first]
    )


@dataclass(frozen=True, slots=True)
class Gittins(FixedOrder):
    """Rank by the index of the predicted distribution at the job's age, its output tokens: the optimal one in an M/G/1.

    Of samples it is the empirical Gittins index (arXiv 2606.24703 and its like), of a histogram that of the histogram.
    A job older than all that is known has the worst rank, and of those who came last goes first. `trusted`: the share
    of the shortest answers that are believed to say how long they are; 1: all, without truncation.
    """

    trusted: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.trusted <= 1:
            raise ValueError(f"trusted must be above 0 and at most 1, got {self.trusted}")

    def rank(self, job: Job, now: float) -> tuple[float, float]:
        """The index, tokens; less the arrival (s) where that is infinite."""
        rank = index_of(distribution_of(job), self.trusted).rank(job.emitted)
        return rank, 0.0 if rank < math.inf else -job.request.arrival

    def stands(self, job: Job, now: float) -> Stands:
        """Until the job has as many tokens that its rank rises."""
        age = job.emitted
        until = index_of(distribution_of(job), self.trusted).next_age(age)
        return Stands(tokens=math.ceil(until - age)) if until < math.inf else ALWAYS
