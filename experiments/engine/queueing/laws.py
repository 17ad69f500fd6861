"""How long a job takes: laws of service whose truncated moments are closed forms, seconds.

All have densities.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, gammainc, gammaincc, ndtr

Floats = NDArray[np.float64]


class Law(ABC):
    """A law of sizes with a density, on the positive line."""

    @abstractmethod
    def part(self, power: int, size: Floats | float) -> Floats:
        """E[S^power; S <= size]: what jobs of at most that `size` (s) add to a moment."""

    @abstractmethod
    def density(self, size: Floats) -> Floats:
        """Per second."""

    @abstractmethod
    def survival(self, size: Floats | float) -> Floats:
        """P(S > size)."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, jobs: int) -> Floats:
        """Independent sizes, s."""

    @property
    @abstractmethod
    def bends(self) -> tuple[float, ...]:
        """Sizes (s) at which the density jumps, but for 0."""

    def moment(self, power: int) -> float:
        """E[S^power]."""
        return float(self.part(power, math.inf))

    def truncated(self, power: int, size: Floats) -> Floats:
        """E[min(S, size)^power]."""
        return self.part(power, size) + size**power * self.survival(size)

    @property
    def mean(self) -> float:
        """E[S], s."""
        return self.moment(1)

    @property
    def variability(self) -> float:
        """The squared coefficient of variation."""
        return self.moment(2) / self.mean**2 - 1


@dataclass(frozen=True)
class Phases(Law):
    """With probability `shares[i]` the sum of `stages[i]` exponential phases of `rates[i]` per second."""

    shares: tuple[float, ...]
    stages: tuple[int, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.shares) == len(self.stages) == len(self.rates):
            raise ValueError(f"as many shares, stages and rates, got {self.shares}, {self.stages}, {self.rates}")
        if min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-12:
            raise ValueError(f"shares must not be negative and sum to 1, got {self.shares}")
        if min(self.stages) < 1 or not 0 < min(self.rates) <= max(self.rates) < math.inf:
            raise ValueError(f"stages must be at least 1 and rates positive, got {self.stages}, {self.rates}")

    @property
    def bends(self) -> tuple[float, ...]:
        return ()

    def part(self, power: int, size: Floats | float) -> Floats:
        parts = [
            share * gamma(stages + power) / gamma(stages) / rate**power * gammainc(stages + power, rate * size)
            for share, stages, rate in zip(self.shares, self.stages, self.rates, strict=True)
        ]
        return np.asarray(sum(parts))

    def density(self, size: Floats) -> Floats:
        parts = [
            share * rate * (rate * size) ** (stages - 1) / gamma(stages) * np.exp(-rate * size)
            for share, stages, rate in zip(self.shares, self.stages, self.rates, strict=True)
        ]
        return np.asarray(sum(parts))

    def survival(self, size: Floats | float) -> Floats:
        parts = [
            share * gammaincc(stages, rate * size)
            for share, stages, rate in zip(self.shares, self.stages, self.rates, strict=True)
        ]
        return np.asarray(sum(parts))

    def draw(self, rng: np.random.Generator, jobs: int) -> Floats:
        kind = rng.choice(len(self.shares), jobs, p=self.shares)
        return rng.standard_gamma(np.array(self.stages)[kind]) / np.array(self.rates)[kind]


@dataclass(frozen=True)
class Power(Law):
    """A density that falls as size^-(`alpha` + 1) from `low` to `high` (s): the bounded Pareto; alpha -1 is uniform.

    `alpha` may not be 0, 1 or 2, where logarithms stand for powers.
    """

    low: float
    high: float
    alpha: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high < math.inf or (self.low == 0 and self.alpha >= 0):
            raise ValueError(f"sizes must be from low < high, and not from 0 unless it rises, got {self}")
        if self.alpha in (0, 1, 2) or not math.isfinite(self.alpha):
            raise ValueError(f"alpha must be finite and neither 0, 1 nor 2, got {self.alpha}")

    @property
    def bends(self) -> tuple[float, ...]:
        return self.low, self.high

    def _integral(self, exponent: float, size: Floats | float) -> Floats:
        """The integral of size^(exponent - 1) from low."""
        return np.asarray((np.clip(size, self.low, self.high) ** exponent - self.low**exponent) / exponent)

    def part(self, power: int, size: Floats | float) -> Floats:
        return self._integral(power - self.alpha, size) / self._integral(-self.alpha, self.high)

    def density(self, size: Floats) -> Floats:
        within = (size >= self.low) & (size <= self.high)
        shape = np.where(within, size, self.high) ** (-self.alpha - 1)
        return np.where(within, shape / self._integral(-self.alpha, self.high), 0.0)

    def survival(self, size: Floats | float) -> Floats:
        return 1 - self.part(0, size)

    def draw(self, rng: np.random.Generator, jobs: int) -> Floats:
        low, high = self.low**-self.alpha, self.high**-self.alpha
        return np.asarray((low + rng.random(jobs) * (high - low)) ** (-1 / self.alpha))


@dataclass(frozen=True)
class Normals(Law):
    """Equal parts of normal laws of these `means` (s) and one `deviation` (s), cut off at 0; moments to the second."""

    means: tuple[float, ...]
    deviation: float

    def __post_init__(self) -> None:
        if not self.means or not 0 < self.deviation < math.inf:
            raise ValueError(f"means must be given and the deviation positive, got {self}")

    @property
    def bends(self) -> tuple[float, ...]:
        return ()

    def _integral(self, power: int, size: Floats | float) -> Floats:
        """Of size^power times the density, from minus infinity, not cut off."""
        if power not in (0, 1, 2):
            raise ValueError(f"power must be 0, 1 or 2, got {power}")
        means, deviation = np.array(self.means), self.deviation
        size = np.minimum(size, means.max() + 40 * deviation)[..., None]
        below = ndtr((size - means) / deviation)
        height = deviation / math.sqrt(2 * math.pi) * np.exp(-(((size - means) / deviation) ** 2) / 2)
        ways = below, means * below - height, (means**2 + deviation**2) * below - (means + size) * height
        return np.asarray(ways[power].mean(-1))

    @property
    def _kept(self) -> float:
        return float(1 - self._integral(0, 0.0))

    def part(self, power: int, size: Floats | float) -> Floats:
        return np.asarray((self._integral(power, np.maximum(size, 0.0)) - self._integral(power, 0.0)) / self._kept)

    def density(self, size: Floats) -> Floats:
        off = (np.asarray(size)[..., None] - np.array(self.means)) / self.deviation
        within = np.exp(-(off**2) / 2).mean(-1) / (self.deviation * math.sqrt(2 * math.pi) * self._kept)
        return np.where(size >= 0, within, 0.0)

    def survival(self, size: Floats | float) -> Floats:
        off = (np.array(self.means) - np.maximum(size, 0.0)[..., None]) / self.deviation
        return np.asarray(ndtr(off).mean(-1) / self._kept)

    def draw(self, rng: np.random.Generator, jobs: int) -> Floats:
        sizes = np.array([])
        while len(sizes) < jobs:
            more = rng.normal(rng.choice(self.means, jobs), self.deviation)
            sizes = np.append(sizes, more[more > 0])
        return sizes[:jobs]


LAWS: dict[str, Law] = {
    "Exp": Phases((1.0,), (1,), (1.0,)),
    "Uniform": Power(0.0, 2.0, -1.0),
    "Erlang-2": Phases((1.0,), (2,), (2.0,)),
    "H2": Phases((0.9, 0.1), (1, 1), (1.8, 0.2)),
    "bounded Pareto": Power(2.0, 500.0, 1.2),
}
