"""Measure every point in several interleaved passes, and reject the passes in which the machine was disturbed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

import pandas as pd

from profiles.measuring.journal import Journal
from profiles.point import Point

ANCHOR_TIMINGS = 5


class Bar(Protocol):
    """A progress bar, as tqdm's."""

    def update(self, n: int = 1) -> Any: ...


class DisturbedError(RuntimeError):
    """The anchor kept moving: the machine is too busy to be measured."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a pass: its samples (point, seconds), and what its anchor took (seconds) as the pass went on."""

    number: int
    attempt: int
    samples: tuple[tuple[Point, float], ...]
    anchors: tuple[float, ...]

    @property
    def anchor_shift(self) -> float:
        """How far the anchor's slowest reading was above its fastest, as a share."""
        return max(self.anchors) / min(self.anchors) - 1 if self.anchors else 0.0


@dataclass(frozen=True, slots=True)
class Passes:
    """`count` passes over `points`, each in its own random order, with an `anchor` timed at start, middle and end.

    A pass whose anchor moved by more than the share `tolerance` is measured again, at most `retries` times in one run,
    then `DisturbedError` is raised, or with `salvage` the least disturbed of the rejected passes are taken after all
    (`anchor_shift` tells which). All is written to the journal, and what stands there is not measured again.
    """

    points: Sequence[Point]
    anchor: Point
    count: int
    retries: int
    seed: int
    tolerance: float
    salvage: bool = False

    def run(self, seconds: Callable[[Point], float], journal: Journal, bar: Bar) -> tuple[list[Attempt], list[Attempt]]:
        """Accepted and rejected attempts; `seconds` times one point, `bar` advances by one a point.

        The first timings of a process are slow, whatever they time: some of the anchor are thrown away.
        """
        accepted: list[Attempt] = []
        rejected: list[Attempt] = []
        repeats = 0
        for _ in range(ANCHOR_TIMINGS):
            seconds(self.anchor)
        while len(accepted) < self.count:
            known = len(journal.events)
            done = self._attempt(len(accepted), len(rejected), seconds, journal, bar)
            if done.anchor_shift <= self.tolerance:
                accepted.append(done)
                continue
            rejected.append(done)
            bar.update(-len(self.points))
            repeats += len(journal.events) > known
            if repeats > self.retries and self.salvage:
                taken = sorted(rejected, key=lambda attempt: attempt.anchor_shift)[: self.count - len(accepted)]
                bar.update(len(taken) * len(self.points))
                return accepted + taken, [attempt for attempt in rejected if attempt not in taken]
            if repeats > self.retries:
                shifts = ", ".join(f"{100 * attempt.anchor_shift:.0f} %" for attempt in rejected[-repeats:])
                raise DisturbedError(
                    f"the anchor moved by {shifts} within {repeats} passes (at most {100 * self.tolerance:.0f} % "
                    f"is accepted, and {self.retries} repeats): measure when the machine is quiet"
                )
        return accepted, rejected

    def share_left(self, journal: Journal) -> float:
        """The share of the timings that the journal lacks: of each pass it counts the latest attempt."""
        counts = Counter((event["pass"], event["attempt"]) for event in journal.events if "point" in event)
        latest = {number: timed for (number, _), timed in sorted(counts.items())}
        return 1 - sum(latest.values()) / (self.count * len(self.points))

    def _attempt(
        self, number: int, attempt: int, seconds: Callable[[Point], float], journal: Journal, bar: Bar
    ) -> Attempt:
        """Go through one order of points, from where the journal ends."""
        past = [event for event in journal.events if (event["pass"], event["attempt"]) == (number, attempt)]
        samples = [(Point(**event["point"]), event["seconds"]) for event in past if "point" in event]
        anchors = [event["anchor"] for event in past if "anchor" in event]
        bar.update(len(samples))

        def record(event: dict[str, Any]) -> None:
            journal.append({"pass": number, "attempt": attempt, **event})

        def time_anchor() -> None:
            anchors.append(median(seconds(self.anchor) for _ in range(ANCHOR_TIMINGS)))
            record({"anchor": anchors[-1]})

        if any("end" in event for event in past):
            return Attempt(number, attempt, tuple(samples), tuple(anchors))
        order = list(self.points)
        random.Random(f"{self.seed} {number} {attempt}").shuffle(order)
        time_anchor()
        for index in range(len(samples), len(order)):
            if index == len(order) // 2:
                time_anchor()
            taken = seconds(order[index])
            samples.append((order[index], taken))
            record({"point": asdict(order[index]), "seconds": taken})
            bar.update(1)
        time_anchor()
        record({"end": True})
        return Attempt(number, attempt, tuple(samples), tuple(anchors))


def sample_table(accepted: Sequence[Attempt]) -> pd.DataFrame:
    """The accepted samples: phase, batch, new, computed, pass, seconds."""

    def rows() -> Iterator[dict[str, Any]]:
        for attempt in accepted:
            for point, taken in attempt.samples:
                yield {**asdict(point), "pass": attempt.number, "seconds": taken}

    return pd.DataFrame(rows())


def estimate(seconds: Callable[[Point], float], points: list[Point]) -> float:
    """About how long one pass over all `points` takes, s, from timing the smallest and the largest of each phase.

    Between the two, seconds are taken to rise with tokens + attended tokens / 64.
    """

    def size(point: Point) -> float:
        return point.tokens + point.attended / 64

    total = 0.0
    for phase in {point.phase for point in points}:
        own = sorted((point for point in points if point.phase == phase), key=size)
        low, high = own[0], own[-1]
        begin, end = seconds(low), seconds(high)
        rise = (end - begin) / ((size(high) - size(low)) or 1.0)
        total += sum(max(begin, begin + rise * (size(point) - size(low))) for point in own)
    return total
