"""The jobs of a sweep, or few of them in which all that can be wrong shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator


def jobs(axes: list[tuple[str, list[str]]], most: int) -> Iterator[tuple[str, ...]]:
    """The texts of each job, of several seeds the first; beyond `most`, so many that each two values come together."""
    axes = [(key, texts[:1] if key == "seed" else texts) for key, texts in axes]
    if math.prod(len(texts) for _, texts in axes) > most:
        yield from _pairs(axes)
        return
    yield from itertools.product(*(texts for _, texts in axes))


def _pairs(axes: list[tuple[str, list[str]]]) -> Iterator[tuple[str, ...]]:
    """Jobs in which every value of every axis meets every value of every other, single values aside."""
    wide = [number for number, (_, texts) in enumerate(axes) if len(texts) > 1]
    left = {
        (one, first, other, second)
        for one, other in itertools.combinations(wide, 2)
        for first in range(len(axes[one][1]))
        for second in range(len(axes[other][1]))
    }
    turn = 0
    while left or turn < max(len(texts) for _, texts in axes):
        chosen = {number: turn % len(texts) for number, (_, texts) in enumerate(axes)}
        if left:
            one, first, other, second = min(left)
            fixed = {one: first, other: second}
            for number in wide:
                if number not in fixed:
                    fixed[number] = max(range(len(axes[number][1])), key=lambda value: _new(left, fixed, number, value))
            chosen.update(fixed)
        left -= {(one, chosen[one], other, chosen[other]) for one, other in itertools.combinations(wide, 2)}
        turn += 1
        yield tuple(texts[chosen[number]] for number, (_, texts) in enumerate(axes))


def _new(left: set[tuple[int, int, int, int]], fixed: dict[int, int], number: int, value: int) -> int:
    """How many of the pairs `left` the `value` makes with what is `fixed`."""
    return sum(
        ((other, at, number, value) if other < number else (number, value, other, at)) in left
        for other, at in fixed.items()
    )
