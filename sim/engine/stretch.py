"""Decode steps of the same jobs, one after another: when each of them ends."""

from __future__ import annotations

import math

from sim.step import Line


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

    def continues(self, start: float, jobs: int, context: int, spare: int = 0) -> bool:
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

    def ahead(self, start: float, steps: int, instant: float) -> tuple[int, float, float]:
        """How many of the next `steps` begin until one begins at `instant` (s) or later; the first does at `start` (s).

        And when the last of them begins, and ends (s).
        """
        due = self.end(self.done + steps - 1)
        if due > instant and steps > 1:
            steps = 1 if start >= instant else self.steps_by(instant)[0] - self.done + 1
            due = self.end(self.done + steps - 1)
        return steps, due, self.end(self.done + steps)
