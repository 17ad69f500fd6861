"""The search of several systems side by side: which tries are made next, by whoever is free."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from experiments.capacity.asked import System
from experiments.capacity.binding import Evidence
from experiments.capacity.search import HIGHEST, LOWEST, Bracket, Capacity, Grid, bisect, more_seeds
from experiments.capacity.tries import Pace, Tried, attempt, limited, speed, witness, worst
from experiments.capacity.workers import Submit, bar

FAR, NEAR = 0.9, 0.04  # between the first two tries of the first seed, and of the others, as shares of the rate
WITNESSES = 3  # seeds whose steps are looked at
FEWEST = 100  # requests that thinning leaves, at least
CURVE = (0.5, 1.15)  # from the least capacity to the largest, as shares of them


@dataclass(frozen=True, slots=True)
class Settings:
    """The command's own: see `tokenyard capacity --help`."""

    seed: int
    seeds: int
    most: int
    precision: float
    grid: float
    by: str
    start: float
    curve: int


@dataclass(slots=True)
class Searched:
    """What is known of one system: each seed's bracket, every try by place and seed, and what its steps tell."""

    system: System
    brackets: dict[int, Bracket] = field(default_factory=dict)
    tries: dict[tuple[int, int], Tried] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether seeds replay the same requests, so that all of them are one observation."""
        digests: dict[int, list[str]] = {}
        for (place, _), tried in self.tries.items():
            digests.setdefault(place, []).append(tried.replay)
        several = [set(found) for found in digests.values() if len(found) > 1]
        return bool(several) and all(len(found) == 1 for found in several)

    def capacity(self, grid: Grid) -> Capacity:
        """From the brackets so far."""
        return Capacity.of(self.brackets, grid, self.alone)

    def edge(self) -> list[Tried]:
        """Of each seed the try at the lowest rate at which it did not hold, as the bisection left it."""
        return [self.tries[bracket.high, seed] for seed, bracket in self.brackets.items() if bracket.high is not None]

    def missed(self) -> Counter[str]:
        """How many seeds miss each bound the most, just above their capacity."""
        return Counter(missed for tried in self.edge() if (missed := worst(tried)))


class Survey:
    """Systems, searched by the tries that `submit` makes."""

    def __init__(self, systems: Sequence[System], settings: Settings, submit: Submit) -> None:
        self.settings, self.grid = settings, Grid(settings.grid)
        self.found = [Searched(system) for system in systems]
        self._submit = submit

    @property
    def seeds(self) -> list[int]:
        """Those of the systems that have an edge."""
        return sorted({seed for one in self.found for seed in one.brackets})

    def find(self) -> None:
        """Find the capacity of every system: of the first seed, of as many as asked for, then of more."""
        first, count = self.settings.seed, self.settings.seeds
        with bar("capacity", "try") as shown:
            self._search([(one, first, self.grid.place(self.settings.start), FAR) for one in self.found], shown)
            while True:
                self._search(list(self._missing(count)), shown)
                wanted = more_seeds(
                    [one.capacity(self.grid) for one in self.found], self.settings.precision, self.settings.most
                )
                if wanted <= count or all(one.alone for one in self.found):
                    return
                count = wanted

    def _missing(self, count: int) -> Any:
        """Searches of the seeds that a system lacks, from where its first seed ended; none where that has no edge."""
        for one in self.found:
            start = one.brackets[self.settings.seed]
            if start.low is None or start.high is None or (one.alone and len(one.brackets) > 1):
                continue
            for seed in range(self.settings.seed, self.settings.seed + count):
                if seed not in one.brackets:
                    yield one, seed, start.low, NEAR

    def _search(self, searches: Sequence[tuple[Searched, int, int, float]], shown: tqdm[Any]) -> None:
        """Go on with all searches at once: each asks for its next try when it knows of the last."""
        pending: dict[Future[Tried], tuple[Searched, int, int, Generator[int, bool, None]]] = {}

        def ask(one: Searched, seed: int, place: int, search: Generator[int, bool, None]) -> None:
            pending[self._attempt(one, place, seed)] = one, seed, place, search

        for one, seed, start, stride in searches:
            bracket = one.brackets[seed] = Bracket()
            lowest, highest = self._range(one, seed)
            search = bisect(bracket, start, max(1, self.grid.places(stride)), lowest, highest, self.grid.probes)
            ask(one, seed, next(search), search)
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                one, seed, place, search = pending.pop(future)
                tried = one.tries[place, seed] = future.result()
                shown.set_postfix_str(f"{one.system.name} {self.grid.rate(place):g}/s", refresh=False)
                shown.update()
                try:
                    ask(one, seed, search.send(tried.holds), search)
                except StopIteration:
                    continue

    def _range(self, one: Searched, seed: int) -> tuple[int, int]:
        """The places between which rates can be set."""
        if self.settings.by == "time":
            return self.grid.place(LOWEST), self.grid.place(HIGHEST)
        rate, requests = speed(one.system.cfg, seed)
        least, most = (math.log(value) / math.log1p(self.grid.step) for value in (rate * FEWEST / requests, rate))
        if math.ceil(least) >= math.floor(most):
            raise ValueError(f"{requests} requests cannot be thinned: at least {FEWEST} must be left")
        return math.ceil(least), math.floor(most)

    def _attempt(self, one: Searched, place: int, seed: int) -> Future[Tried]:
        pace = Pace(self.grid.rate(place), self.settings.by)
        return self._submit(attempt, list(one.system.texts), pace, seed, one.system.slo)

    def look(self) -> None:
        """See what holds requests up just above each capacity, and how metrics rise with the rate."""
        with bar("what binds", "run") as shown:
            asked = []
            for one in self.found:
                edge = one.edge() or [tried for _, tried in sorted(one.tries.items())[-1:]]
                for tried in edge[:WITNESSES]:
                    asked.append(
                        (one, self._submit(witness, list(one.system.texts), tried.pace, tried.seed, one.system.slo))
                    )
                    asked[-1][1].add_done_callback(lambda _: shown.update())
            for one, future in asked:
                one.evidence.append(future.result())
        for one in self.found:
            served = frozenset().union(*(evidence.served for evidence in one.evidence))
            one.limits = [line for kind, line in limited(one.system.cfg) if kind in served]
        with bar("curve", "run") as shown:
            for (number, place, seed), future in {key: self._asked(key, shown) for key in self._curve()}.items():
                tried = self.found[number].tries[place, seed] = future.result()
                self.found[number].brackets[seed].tried[place] = tried.holds

    def _asked(self, key: tuple[int, int, int], shown: tqdm[Any]) -> Future[Tried]:
        number, place, seed = key
        future = self._attempt(self.found[number], place, seed)
        future.add_done_callback(lambda _: shown.update())
        return future

    def _curve(self) -> list[tuple[int, int, int]]:
        """The tries that the curve lacks: which system, place and seed."""
        return [
            (number, place, seed)
            for place in self.curve()
            for number, one in enumerate(self.found)
            for seed in list(one.brackets)[: 1 if one.alone else self.settings.seeds]
            if (place, seed) not in one.tries
        ]

    def curve(self) -> list[int]:
        """The places of the curve: evenly from below the least capacity to above the largest."""
        known = [value for one in self.found for value in one.capacity(self.grid).each.values() if 0 < value < math.inf]
        if not known or not self.settings.curve:
            return []
        low, high = CURVE[0] * min(known), CURVE[1] * max(known)
        count = self.settings.curve
        rates = [low + (high - low) * number / max(1, count - 1) for number in range(count)]
        places = sorted({self.grid.place(rate) for rate in rates})
        if self.settings.by == "time":
            return places
        most = min(self._range(one, seed)[1] for one in self.found for seed in one.brackets)
        return [place for place in places if place <= most]
