"""The search for the cheapest cluster: the fewest devices of each kind, then what is cheaper still in two roles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from experiments.capacity.asked import System
from experiments.capacity.binding import Evidence
from experiments.capacity.candidates import FREE, ROLES, Base, Candidate, least
from experiments.capacity.prices import Price
from experiments.capacity.tries import Pace, Tried, attempt, engine, holding, witness, worst
from experiments.capacity.workers import Submit, bar

MORE = 3  # devices beyond the fewest of each role that are looked at together


@dataclass(slots=True)
class Judged:
    """A candidate, the runs that it was judged by, and what holds requests up in the first, if that was looked at."""

    candidate: Candidate
    tries: list[Tried] = field(default_factory=list)
    evidence: Evidence | None = None

    @property
    def holding(self) -> int:
        """Seeds whose run holds."""
        return sum(tried.holds for tried in self.tries)

    @property
    def carries(self) -> bool:
        """Whether every seed's run holds."""
        return self.holding == len(self.tries)

    def missed(self) -> str:
        """The bound that is missed by most, over its seeds; empty if none is."""
        found = [worst(tried) for tried in self.tries if tried.missed]
        return max(found, key=found.count) if found else ""

    def binds(self) -> str:
        """What keeps that above its bound, where it was looked at."""
        missed = self.missed()
        return holding(self.tries[0], missed, self.evidence) if missed and self.evidence else ""


class Planner:
    """Judges candidates by the tries that `submit` makes: the first seed, and the others where that holds."""

    def __init__(
        self, base: Base, prices: Mapping[str, Price], seeds: Sequence[int], most: int, link: float, submit: Submit
    ) -> None:
        self.base, self.prices, self.seeds, self.most, self.link = base, prices, seeds, most, link
        self.judged: dict[tuple[str, ...], Judged] = {}
        self.bounds: list[str] = []  # what was not tried, as it cannot be cheaper
        self.lacking: list[str] = []  # in two roles, what is not enough
        self.limits: list[str] = []  # the engine's, a line for each sort of device
        self._submit = submit
        self._bar: tqdm[Any] = bar("plan", "run")

    def judge(self, candidate: Candidate, all_seeds: bool = False) -> Judged:
        """The candidate's runs, by each seed until the first fails, or by `all_seeds`."""
        known = self.judged.setdefault(candidate.texts, Judged(candidate))
        if known.tries and (len(known.tries) == len(self.seeds) or not (known.carries or all_seeds)):
            return known
        seeds = self.seeds[len(known.tries) :]
        if not known.tries and not all_seeds:
            self._try(known, seeds[:1])
            seeds = seeds[1:] if known.carries else ()
        self._try(known, seeds)
        return known

    def _try(self, judged: Judged, seeds: Sequence[int]) -> None:
        texts = list(judged.candidate.texts)
        asked = [self._submit(attempt, texts, Pace(None), seed, self.base.system.slo) for seed in seeds]
        for future in asked:
            judged.tries.append(future.result())
            self._bar.update()
        self._bar.set_postfix_str(judged.candidate.name, refresh=False)

    def together(self, devices: Sequence[str]) -> None:
        """The fewest replicas of each device."""
        for device in devices:
            least(lambda count, device=device: self.judge(self.base.together(device, count)).carries, self.most)  # type: ignore[misc]

    def split(self, devices: Sequence[str]) -> Judged | None:
        """The cheapest that carries of those that prefill on one device and decode on another, the same or not.

        No pair can do with fewer in a role than are enough with as many as there may be, of any device, in the other:
        so few of each are tried first, then more. Pairs that cost more even so than what was found are left out.
        """
        enough = {device: self._enough(device, devices) for device in devices}
        pairs = [
            self.base.split(((one, first), (other, second)), self.link)
            for one, (first, _) in enough.items()
            for other, (_, second) in enough.items()
            if first is not None and second is not None
        ]
        best: Judged | None = None
        for pair in sorted(pairs, key=self._dollars):
            if best is not None and self._dollars(pair) >= self._dollars(best.candidate):
                self.bounds.append(f"{pair.name}: the least of its kind, ${self._dollars(pair):.2f}")
                continue
            found = self._grown(pair)
            if found is not None and (best is None or self._dollars(found.candidate) < self._dollars(best.candidate)):
                best = found
        return best

    def _enough(self, device: str, devices: Sequence[str]) -> tuple[int | None, int | None]:
        """The fewest of a device that are enough to prefill, and to decode, beside as many as may be of any device."""
        others, most = [device, *(other for other in devices if other != device)], self.most

        def prefills(count: int) -> bool:
            return any(self._carries(((device, count), (other, most))) for other in others)

        def decodes(count: int) -> bool:
            return any(self._carries(((other, most), (device, count))) for other in others)

        found = least(prefills, most), least(decodes, most)
        for role, enough in zip(ROLES, found, strict=True):
            if enough is None:
                self.lacking.append(f"{most} x {device} {role} beside {most} of any device")
        return found

    def _carries(self, counts: tuple[tuple[str, int], tuple[str, int]]) -> bool:
        return self.judge(self.base.split(counts, self.link)).carries

    def _grown(self, pair: Candidate) -> Judged | None:
        """The first that carries of `pair` and those with more in one role or both, the cheapest first."""
        (_, one, first), (_, other, second) = pair.devices
        grown = [
            self.base.split(((one, first + more), (other, second + less)), self.link)
            for more in range(MORE + 1)
            for less in range(MORE + 1 - more)
        ]
        for candidate in sorted(grown, key=self._dollars):
            if (judged := self.judge(candidate)).carries:
                return judged
        self.lacking.append(f"{pair.name}, nor with {MORE} more")
        return None

    def ratios(self, best: Candidate, links: Sequence[float]) -> list[tuple[float, Judged]]:
        """Every ratio of as many devices as `best` has, at each of the links and, last, at one that takes no time."""
        (_, one, _), (_, other, _) = best.devices
        rows = []
        for link in [*links, FREE]:
            for first in range(1, best.total):
                candidate = self.base.split(((one, first), (other, best.total - first)), link)
                rows.append((link, self.judge(candidate, all_seeds=True)))
        return rows

    def winner(self) -> Judged | None:
        """The cheapest that carries."""
        return next((one for one in self.own() if one.carries), None)

    def look(self, winner: Judged | None) -> None:
        """See the engine's limits, and what holds requests up in those that miss and cost no more than the `winner`."""
        slo = self.base.system.slo
        most = math.inf if winner is None else self._dollars(winner.candidate)
        less = [one for one in self.own() if not one.carries and self._dollars(one.candidate) <= most]
        asked = [
            (one, self._submit(witness, list(one.candidate.texts), Pace(None), self.seeds[0], slo)) for one in less
        ]
        for one, future in asked:
            one.evidence = future.result()
        of_kind = {kind: one for one in self.own() for kind in [device[:2] for device in one.candidate.devices]}
        found = [self._submit(engine, list(one.candidate.texts)) for one in of_kind.values()]
        self.limits = list(dict.fromkeys(line for future in found for line in future.result()))

    def own(self) -> list[Judged]:
        """Those that were judged for the plan itself, at its own link, the cheapest first."""
        own = [one for one in self.judged.values() if one.candidate.link in (None, self.link)]
        return sorted(own, key=lambda one: (self._dollars(one.candidate), not one.carries, one.candidate.total))

    def system(self, judged: Judged) -> System:
        """A candidate as a system whose capacity may be searched."""
        texts = tuple(text for text in judged.candidate.texts if not text.startswith("trace.rate="))
        return System(judged.candidate.name, texts, self.base.system.slo, self.base.system.cfg)

    def done(self) -> None:
        """Close the bar."""
        self._bar.close()

    def _dollars(self, candidate: Candidate) -> float:
        return candidate.dollars(self.prices)
