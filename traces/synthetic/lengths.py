"""How long prompts and answers are, in tokens: distributions within bounds, and pairs copied from a stored trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from traces.locate import public_file
from traces.schema import LONGEST, TraceError
from traces.split import check_kept, none_kept, training_rows
from traces.synthetic.parameters import check_not_negative, check_positive

LEAST_MASS = 1e-9  # of a distribution within its bounds


class Distribution(Protocol):
    """Lengths of one kind."""

    def draw(self, count: int, lengths: np.random.Generator) -> np.ndarray:
        """`count` whole numbers of tokens, from 1."""
        ...


class Lengths(Protocol):
    """Lengths of prompts and of their answers."""

    def draw(self, count: int, lengths: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray]:
        """`count` prompt and output lengths; for `training`, of rows that are never drawn otherwise."""
        ...


@dataclass(frozen=True)
class Lognormal:
    """Lognormal of this `median` (tokens) and standard deviation of the log `sigma`, rounded up.

    Truncated to `shortest`..`longest`: what lies outside is never drawn, so there is no heap of lengths at a bound.
    """

    median: float
    sigma: float
    shortest: int = 1
    longest: int = LONGEST

    def __post_init__(self) -> None:
        check_positive(self, "median", "sigma")
        _check_bounds(self)
        low, high = self._mass
        if high - low < LEAST_MASS:
            raise ValueError(f"no length of median {self.median} lies in {self.shortest} to {self.longest} tokens")

    @property
    def _mass(self) -> tuple[float, float]:
        """The distribution function just below the shortest length, and at the longest."""
        logs = [-math.inf if bound == 0 else math.log(bound) for bound in (self.shortest - 1, self.longest)]
        low, high = (float(ndtr((log - math.log(self.median)) / self.sigma)) for log in logs)
        return low, high

    def draw(self, count: int, lengths: np.random.Generator) -> np.ndarray:
        """As in `Distribution`."""
        drawn = self.median * np.exp(self.sigma * ndtri(lengths.uniform(*self._mass, count)))
        return np.clip(np.ceil(drawn), self.shortest, self.longest)


@dataclass(frozen=True)
class Zipf:
    """k tokens with a probability in proportion to k ** -`exponent`, for k from `shortest` to `longest`."""

    exponent: float
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        check_not_negative(self, "exponent")
        _check_bounds(self)

    def draw(self, count: int, lengths: np.random.Generator) -> np.ndarray:
        """As in `Distribution`."""
        cumulative = np.cumsum(np.arange(self.shortest, self.longest + 1, dtype=float) ** -self.exponent)
        return self.shortest + np.searchsorted(cumulative, lengths.random(count) * cumulative[-1], side="right")


@dataclass(frozen=True)
class Quantiles:
    """Lengths whose quantiles at `levels` (0 to 1) are `tokens`, straight between them and flat beyond them."""

    levels: Sequence[float]
    tokens: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.levels) != len(self.tokens) or len(self.levels) < 2:
            raise ValueError(f"levels and tokens must be 2 or more, got {len(self.levels)} and {len(self.tokens)}")
        if not all(0 <= low < high <= 1 for low, high in pairwise(self.levels)):
            raise ValueError(f"levels must rise within 0 to 1, got {list(self.levels)}")
        if not all(1 <= low <= high <= LONGEST for low, high in pairwise(self.tokens)):
            raise ValueError(f"tokens must be from 1 to {LONGEST} and not fall, got {list(self.tokens)}")

    def draw(self, count: int, lengths: np.random.Generator) -> np.ndarray:
        """As in `Distribution`."""
        return np.rint(np.interp(lengths.random(count), self.levels, self.tokens))


@dataclass(frozen=True)
class Independent:
    """Prompts and answers whose lengths have nothing to do with one another."""

    prompt: Distribution
    output: Distribution

    def draw(self, count: int, lengths: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray]:
        """As in `Lengths`."""
        return self.prompt.draw(count, lengths), self.output.draw(count, lengths)


@dataclass(frozen=True)
class Fixed:
    """Each `prompt` of so many tokens, and each `output`."""

    prompt: int
    output: int

    def __post_init__(self) -> None:
        check_positive(self, "prompt", "output")

    def draw(self, count: int, lengths: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray]:
        """As in `Lengths`."""
        return np.full(count, self.prompt), np.full(count, self.output)


@dataclass(frozen=True)
class Copied:
    """Pairs of a prompt's and its answer's length, drawn with replacement from the rows of a stored trace.

    `load` reads the file `path`, which `traces.locate.public_file` finds; `skip_bad` drops its bad rows. The first
    `training_share` of the rows (None: 0) are drawn from for training alone. Pairs of more than `longest` tokens
    together are not drawn.
    """

    path: str
    load: Callable[..., pd.DataFrame] = field(repr=False)
    longest: int = 2 * LONGEST
    training_share: float | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_positive(self, "longest")

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs that are replayed, and those for training."""
        loaded = self.load(public_file(self.path), **({"skip_bad": True} if self.skip_bad else {}))
        rows = loaded[["prompt_tokens", "output_tokens"]].to_numpy()
        parts = np.split(rows, [training_rows(len(rows), self.training_share, self.path)])
        training, replayed = (part[part.sum(axis=1) <= self.longest] for part in parts)
        if not len(replayed) or (self.training_share and not len(training)):
            raise TraceError(f"{self.path}: no row of up to {self.longest} tokens to train with, or none to replay")
        return replayed, training

    def draw(self, count: int, lengths: np.random.Generator, training: bool) -> tuple[np.ndarray, np.ndarray]:
        """As in `Lengths`."""
        if training and not self.training_share:
            raise none_kept(self.path, "trace.lengths.training_share")
        rows = self._parts[training]
        prompt, output = rows[lengths.integers(len(rows), size=count)].T
        return prompt, output


def _check_bounds(distribution: Lognormal | Zipf) -> None:
    if not 1 <= distribution.shortest <= distribution.longest <= LONGEST:
        raise ValueError(
            f"shortest and longest must be 1 <= shortest <= longest <= {LONGEST}, got {distribution.shortest} and "
            f"{distribution.longest}"
        )
