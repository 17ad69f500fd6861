"""Decode steps of the same jobs, one after another: when each of them ends."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import Any

from sim.decoding import PricedProfile
from sim.engine.cadence import Cadence
from sim.engine.lockstep import NONE, Lockstep
from sim.step import Line, Profile


class Stretch:
    """Steps of `jobs` decoding jobs from `start` (s) on, whose total context is `context` tokens in the first.

    `spare` is by how many tokens they fall short of all being as long as the longest of them, which stays as it is.

    A step takes base + slope * context seconds, by the profile's `line`, and the context grows by `jobs` at each step:
    when the n-th ends is a closed form. Stepping and leaping take their instants from it, so they are equal to the last
    bit. `done` counts the steps that are over.
    """

    __slots__ = ("_context", "_jobs", "_line", "_spare", "_start", "done")

    def __init__(self, start: float, jobs: int, context: int, line: Line, spare: int = 0) -> None:
        self._start = start
        self._jobs = jobs
        self._context = context
        self._line = line
        self._spare = spare
        self.done = 0

    def continues(
        self, start: float, jobs: int, context: int, spare: int = 0, proposals: tuple[int, int] = NONE
    ) -> bool:
        """Whether a step from `start` (s) of `jobs` with a total context of `context` is the next of this stretch."""
        return (
            jobs == self._jobs
            and context == self._context + jobs * self.done
            and context <= self._line.until
            and spare == self._spare
            and start == self.end(self.done)
        )

    def end(self, steps: int) -> float:
        """When the first `steps` steps are over, s."""
        attended = steps * self._context + self._jobs * (steps * (steps - 1) // 2)
        return self._start + (steps * self._line.base + self._line.slope * attended)

    def law(self) -> tuple[float, float, float, int, int]:
        """Its start and the base and slope of its line, s; the steps that are over, and what they attended to."""
        done, line = self.done, self._line
        return self._start, line.base, line.slope, done, done * self._context + self._jobs * (done * (done - 1) // 2)

    def within(self, steps: int) -> int:
        """For how many of the next `steps` steps the profile's line holds."""
        most = self._line.until
        if self._context + self._jobs * (self.done + steps - 1) <= most:
            return steps
        return int((most - self._context) // self._jobs) + 1 - self.done

    def steps_by(self, instant: float) -> tuple[int, float]:
        """How many steps it takes until `instant` (s) or later, and when the last of them ends (s)."""
        line, seconds = self._line, instant - self._start
        bend = line.slope * self._jobs / 2
        first = line.base + line.slope * self._context - bend
        root = math.sqrt(first * first + 4 * bend * seconds)
        steps = math.ceil(2 * seconds / (first + root)) or 1 if root > 0 else 1
        end = self.end(steps)
        while end < instant:  # what follows sets right the last bits
            steps += 1
            end = self.end(steps)
        while steps > 1 and (sooner := self.end(steps - 1)) >= instant:
            steps, end = steps - 1, sooner
        return steps, end

    def until(self, steps: int, instant: float) -> tuple[int, float]:
        """How many of the next `steps` it takes until one ends at `instant` (s) or later, and when that ends (s)."""
        end = self.end(self.done + steps)
        if end > instant and steps > 1:
            steps, end = self.steps_by(instant)
            steps -= self.done
            if steps < 1:  # it begins just then
                return 1, self.end(self.done + 1)
        return steps, end

    def ahead(self, start: float, steps: int, instant: float) -> tuple[int, float, float]:
        """How many of the next `steps` begin until one begins at `instant` (s) or later; the first does at `start` (s).

        And when the last of them begins, and ends (s).
        """
        due = self.end(self.done + steps - 1)
        if due > instant and steps > 1:
            steps = 1 if start >= instant else self.steps_by(instant)[0] - self.done + 1
            due = self.end(self.done + steps - 1)
        return steps, due, self.end(self.done + steps)


class PacedStretch(Stretch):
    """Steps in which jobs emit several tokens, or none, and as many are proposed in each, as `proposals` says.

    How many tokens they attend to is known as far as it was asked for; `lockstep` tells of those that come, and of how
    many the last one emitted.
    """

    __slots__ = ("_attended", "_lockstep", "_profile", "_proposals", "_uneven")

    def __init__(
        self, lockstep: Cadence, profile: PricedProfile, proposals: tuple[int, int], start: float, jobs: int,
        context: int, longest: int,
    ) -> None:  # fmt: skip
        line = _plain(profile.decode_line(jobs, context, longest, *proposals))
        super().__init__(start, jobs, context, line, jobs * longest - context if longest else 0)
        self._profile = profile
        self._lockstep = lockstep
        self._proposals = proposals
        self._uneven = longest > 0
        self._attended = [0, context]  # tokens that the first so many steps attend to

    def continues(
        self, start: float, jobs: int, context: int, spare: int = 0, proposals: tuple[int, int] = NONE
    ) -> bool:
        attended, done = self._attended, self.done
        if not (
            jobs == self._jobs
            and context == attended[done] - attended[done - 1] + self._lockstep.gained
            and self._goes_on(context, spare, proposals)
            and context <= self._line.until
            and spare == self._spare
            and start == self.end(done)
        ):
            return False
        attended[done + 1 :] = [attended[done] + context]
        return True

    def _goes_on(self, context: int, spare: int, proposals: tuple[int, int]) -> bool:
        """Whether steps of such `proposals` take as long as those so far: by the same line, that is."""
        if proposals != self._proposals:
            longest = (context + spare) // self._jobs if self._uneven else 0
            line = self._profile.decode_line(self._jobs, context, longest, *proposals)
            if (line.base, line.slope) != (self._line.base, self._line.slope):
                return False
            self._line, self._proposals = line, proposals
        return True

    def end(self, steps: int) -> float:
        return self._start + (steps * self._line.base + self._line.slope * self._attended[steps])

    def law(self) -> tuple[float, float, float, int, int]:
        return self._start, self._line.base, self._line.slope, self.done, self._attended[self.done]

    def within(self, steps: int) -> int:
        """As in `Stretch`; and of those that propose as much as the first."""
        if self._uneven:
            return 1
        contexts = self._lockstep.contexts(self._lockstep.alike(steps))
        del contexts[max(1, bisect_right(contexts, self._line.until)) :]
        done = self.done
        self._attended[done:] = accumulate(contexts, initial=self._attended[done])
        return len(contexts)

    def steps_by(self, instant: float) -> tuple[int, float]:
        steps = max(1, bisect_left(range(len(self._attended)), instant, key=self.end))
        return steps, self.end(steps)


class Stretches:
    """The decode steps of a replica, one stretch after another, by the lines of its `profile`."""

    def __init__(self, profile: Profile, lockstep: Lockstep) -> None:
        self._profile: Any = profile
        self._cadence = lockstep if isinstance(lockstep, Cadence) else None
        self._lines: dict[int, Line] = {}  # the profile's answers, by decoding jobs

    def begin(self, start: float, jobs: int, context: int, longest: int, proposals: tuple[int, int]) -> Stretch:
        """Steps from `start` (s) on, of `jobs` with a total of `context` tokens, the `longest` of them if told."""
        if self._cadence is not None:
            return PacedStretch(self._cadence, self._profile, proposals, start, jobs, context, longest)
        spare = jobs * longest - context if longest else 0
        line = self._lines.get(jobs)
        if line is None or longest or not line.since <= context <= line.until:
            line = self._lines[jobs] = _plain(self._profile.decode_line(jobs, context, longest))
        return Stretch(start, jobs, context, line, spare)


def _plain(line: Any) -> Line:
    """`line` in Python's own numbers: those of numpy may have fewer digits, and pass that on to all that they meet."""
    return Line(float(line.base), float(line.slope), line.until, line.since)
