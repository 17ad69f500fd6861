"""Time every point in several interleaved passes, and an anchor in between that tells how fast the machine was."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import pandas as pd

from profiles.measuring.anchors import Reading
from profiles.measuring.journal import Journal
from profiles.point import Point

WARM_UPS = 3  # readings of the anchor that are thrown away: the first steps of a process are slow


class Bar(Protocol):
    """A progress bar, as tqdm's."""

    def update(self, n: int = 1) -> Any: ...


class Timed(Protocol):
    """A model whose passes are timed."""

    def __call__(self, point: Point) -> float:
        """Seconds of one pass of `point`."""
        ...

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """Seconds of the anchor: a prefill of `context` - 2 tokens for each of `batch`, and a decode step after it."""
        ...


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: its samples (point, seconds, instant), and the readings of its anchor in between; instants in s."""

    number: int
    samples: tuple[tuple[Point, float, float], ...]
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Passes:
    """`count` passes over `points`, each in its own random order, the `anchor` (batch, context) read in between.

    It is read before the first of every `every` points, and at the end. All is written to the journal, and what stands
    there is not measured again. `clock` is that of the instants (s), which has to go on while the process does not.
    """

    points: Sequence[Point]
    anchor: tuple[int, int]
    every: int
    count: int
    seed: int
    clock: Callable[[], float] = time.time

    def run(self, timed: Timed, journal: Journal, bar: Bar) -> list[Pass]:
        """The passes, from where the journal ends; `bar` advances by one a point."""
        for _ in range(WARM_UPS):
            timed.anchor(*self.anchor)
        return [self._pass(number, timed, journal, bar) for number in range(self.count)]

    def share_left(self, journal: Journal) -> float:
        """The share of the timings that the journal lacks."""
        return 1 - sum("point" in event for event in journal.events) / (self.count * len(self.points))

    def read(self, timed: Timed) -> Reading:
        """The anchor, read now."""
        begin = self.clock()
        seconds = timed.anchor(*self.anchor)
        return Reading((begin + self.clock()) / 2, *seconds)

    def _pass(self, number: int, timed: Timed, journal: Journal, bar: Bar) -> Pass:
        """Go through one order of points."""
        past = [event for event in journal.events if event["pass"] == number]
        samples = [(Point(**event["point"]), event["seconds"], event["at"]) for event in past if "point" in event]
        readings = [Reading(*event["anchor"]) for event in past if "anchor" in event]
        bar.update(len(samples))

        def read_anchor() -> None:
            readings.append(self.read(timed))
            journal.append({"pass": number, "anchor": readings[-1]})

        if any("end" in event for event in past):
            return Pass(number, tuple(samples), tuple(readings))
        order = list(self.points)
        random.Random(f"{self.seed} {number} 0").shuffle(order)
        if len(samples) % self.every:  # a killed pass goes on: the machine may be another by now
            read_anchor()
        for index in range(len(samples), len(order)):
            if index % self.every == 0:
                read_anchor()
            begin = self.clock()
            taken = timed(order[index])
            samples.append((order[index], taken, (begin + self.clock()) / 2))
            journal.append({"pass": number, "point": asdict(order[index]), "seconds": taken, "at": samples[-1][2]})
            bar.update(1)
        read_anchor()
        journal.append({"pass": number, "end": True})
        return Pass(number, tuple(samples), tuple(readings))


@dataclass(frozen=True, slots=True)
class Shown:
    """What is `timed`, shown on a bar; `before` is called before each timing."""

    timed: Timed
    before: Callable[[], None]
    bar: Any

    def __call__(self, point: Point) -> float:
        """Seconds of one pass of `point`."""
        self.before()
        self.bar.set_postfix_str(f"{point.phase} {point.batch}x{point.new} after {point.computed}", refresh=False)
        return float(self.timed(point))

    def anchor(self, batch: int, context: int) -> tuple[float, float]:
        """See `Timed`."""
        self.before()
        return self.timed.anchor(batch, context)


def sample_table(passes: Sequence[Pass]) -> pd.DataFrame:
    """The samples as they were timed: phase, batch, new, computed, pass, seconds, at (s)."""

    def rows() -> Iterator[dict[str, Any]]:
        for one in passes:
            for point, taken, at in one.samples:
                yield {**asdict(point), "pass": one.number, "seconds": taken, "at": at}

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
