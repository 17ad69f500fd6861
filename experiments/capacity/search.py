"""The search for a capacity: bisection on a grid of rates, seed by seed, until the interval over seeds is narrow."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from experiments.tables.stats import Interval, change, interval

PROBES = (0.02, 0.04, 0.08)  # how far below an edge it is looked whether runs hold, as shares
LOWEST, HIGHEST = 1e-4, 1e6  # requests/s: nobody meets another, all are there at once


@dataclass(frozen=True, slots=True)
class Grid:
    """The rates that are tried: each `step` (a share) above the one before, to five digits, from 1 request/s on.

    All seeds, systems and commands try rates of one grid, so that runs are shared.
    """

    step: float

    def rate(self, place: int) -> float:
        """Requests/s at a place."""
        return float(f"{(1 + self.step) ** place:.5g}")

    def place(self, rate: float) -> int:
        """The place nearest to a rate."""
        return round(math.log(rate) / math.log1p(self.step))

    def places(self, share: float) -> int:
        """How many places up are nearest to a rate that is higher by a share."""
        return round(math.log1p(share) / math.log1p(self.step))

    @property
    def probes(self) -> list[int]:
        """How many places below an edge it is looked whether runs hold."""
        return sorted({self.places(share) for share in PROBES} - {0})


@dataclass(slots=True)
class Bracket:
    """Two neighbouring places of a grid: at `low` a seed's run holds its objectives, at `high` it does not.

    None where it holds at no rate (`low`), or at every rate (`high`). `tried` is whether it held, at each place.
    """

    low: int | None = None
    high: int | None = None
    tried: dict[int, bool] = field(default_factory=dict)

    @property
    def doubtful(self) -> bool:
        """Whether a run held at a rate above one at which another did not."""
        held = [place for place, holds in self.tried.items() if holds]
        missed = [place for place, holds in self.tried.items() if not holds]
        return bool(held and missed) and max(held) > min(missed)


def bisect(
    bracket: Bracket, start: int, stride: int, lowest: int, highest: int, probes: Sequence[int]
) -> Generator[int, bool, None]:
    """Fill in `bracket`: yields the places to be tried, and is sent whether the run held there.

    From `start` on by `stride` places, twice as many each time, until both sides of the edge are seen, or the `lowest`
    or the `highest` place; then by halves. Whether a run holds is not quite monotonous in the rate: it is tried too at
    `probes` places below the edge, and where one is missed, the edge is looked for below that.
    """
    yield from _edge(bracket, start, stride, lowest, highest)
    while bracket.low is not None and bracket.high is not None:
        for depth in probes:
            place = bracket.low - depth
            if place >= lowest and not (yield from _holds(bracket, place)):
                below = [one for one, holds in bracket.tried.items() if holds and one < place]
                bracket.low, bracket.high = max(below, default=None), place
                yield from _edge(bracket, place - stride, stride, lowest, highest)
                break
        else:
            return


def _holds(bracket: Bracket, place: int) -> Generator[int, bool, bool]:
    """Whether a place holds, which is tried unless it was."""
    if place not in bracket.tried:
        bracket.tried[place] = yield place
    return bracket.tried[place]


def _edge(bracket: Bracket, place: int, stride: int, lowest: int, highest: int) -> Generator[int, bool, None]:
    """Bring the two sides of `bracket` together, from `place` on where one is not seen yet."""
    while bracket.low is None or bracket.high is None:
        place = min(max(place, lowest), highest)
        holds = yield from _holds(bracket, place)
        if holds:
            bracket.low = place
        else:
            bracket.high = place
        if (holds and place == highest) or (not holds and place == lowest):
            return
        place += stride if holds else -stride
        stride *= 2
    while bracket.high - bracket.low > 1:
        place = (bracket.low + bracket.high) // 2
        if (yield from _holds(bracket, place)):
            bracket.low = place
        else:
            bracket.high = place


@dataclass(frozen=True, slots=True)
class Capacity:
    """The rate up to which a system holds its objectives: the mean of what the seeds find, with its 95 % interval.

    `each` is by seed, requests/s: the middle of its bracket; 0 where no rate holds, infinite where every one does.
    `interval` has half a step of the grid beside Student's half width.
    """

    each: Mapping[int, float]
    interval: Interval
    doubtful: int

    @classmethod
    def of(cls, brackets: Mapping[int, Bracket], grid: Grid, same: bool = False) -> Capacity:
        """Of the brackets by seed; `same` says that all seeds replay the same requests, one observation."""
        each = {seed: _middle(bracket, grid) for seed, bracket in brackets.items()}
        values = list(each.values())[: 1 if same else None]
        within = within_grid(values, grid)
        return cls(each, within, sum(bracket.doubtful for bracket in brackets.values()))

    @property
    def known(self) -> bool:
        """Whether there is an edge in every seed."""
        return all(0 < value < math.inf for value in self.each.values())

    @property
    def relative(self) -> float:
        """Half of the interval over the mean; NaN without an interval."""
        return self.interval.half_width / self.interval.mean if self.known else math.nan

    @property
    def held_in_all(self) -> float:
        """The highest rate at which every seed held, requests/s."""
        return min(self.each.values())


def within_grid(values: Sequence[float], grid: Grid) -> Interval:
    """The mean of values known to half a step of the grid, with its interval; equal ones are as close as that."""
    if not all(0 < value < math.inf for value in values):
        return Interval(min(values), math.nan)
    found = interval(values)
    half = grid.step / 2 * found.mean
    if len(values) > 1 and math.isnan(found.half_width):  # all on one place of the grid
        return Interval(found.mean, half)
    return Interval(found.mean, found.half_width + half)


def compared(ours: Capacity, theirs: Capacity) -> Interval:
    """By how many percent one capacity is above another, paired by seed; NaN where one is unknown."""
    if not (ours.known and theirs.known):
        return Interval(math.nan, math.nan)
    seeds = [seed for seed in ours.each if seed in theirs.each]
    return change([ours.each[seed] for seed in seeds], [theirs.each[seed] for seed in seeds])


def more_seeds(found: Sequence[Capacity], precision: float, most: int) -> int:
    """How many seeds there should be for every interval to be as narrow as `precision` (a share), `most` at most."""
    wanted = 0
    for capacity in found:
        count = len(capacity.each)
        if capacity.known and capacity.relative > precision:
            wanted = max(wanted, count + 1, math.ceil(count * (capacity.relative / precision) ** 2))
    return min(wanted, most)


def _middle(bracket: Bracket, grid: Grid) -> float:
    if bracket.low is None:
        return 0.0
    return math.inf if bracket.high is None else math.sqrt(grid.rate(bracket.low) * grid.rate(bracket.high))
