"""When requests arrive: seeded point processes, in seconds from the trace's start, each at any mean rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from traces.synthetic.parameters import check_not_negative, check_positive, check_weights

CV_RANGE = (0.01, 100.0)  # of the gaps; beyond, gaps are one instant or one gap to floating point
GRID = 1440  # instants of a period at which a sinusoid's integral is exact; it is straight between them


class Process(Protocol):
    """A point process without its rate."""

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """`requests` instants at a mean of `rate` requests/s; the first comes after a whole gap."""
        ...


def poisson(rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
    """`requests` instants of a Poisson process of `rate` requests/s; the first comes after a whole gap."""
    _check(rate, requests)
    return np.cumsum(arrivals.exponential(1.0 / rate, requests))


@dataclass(frozen=True)
class Poisson:
    """Independent exponential gaps: a CV of 1."""

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        return poisson(rate, requests, arrivals)


@dataclass(frozen=True)
class Gamma:
    """Independent Gamma gaps with the coefficient of variation `cv`: above 1 arrivals come in bursts."""

    cv: float

    def __post_init__(self) -> None:
        _check_cv(self.cv)

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        _check(rate, requests)
        return np.cumsum(arrivals.gamma(self.cv**-2, self.cv**2 / rate, requests))


@dataclass(frozen=True)
class Weibull:
    """Independent Weibull gaps with the coefficient of variation `cv`, from which their shape is solved."""

    cv: float

    def __post_init__(self) -> None:
        _check_cv(self.cv)

    @property
    def shape(self) -> float:
        """k of 1 + cv^2 = Gamma(1 + 2/k) / Gamma(1 + 1/k)^2."""
        from scipy.optimize import brentq  # half a second to load, for this process alone
        from scipy.special import gammaln

        wanted = math.log1p(self.cv**2)
        return float(brentq(lambda k: gammaln(1 + 2 / k) - 2 * gammaln(1 + 1 / k) - wanted, 0.1, 200.0))

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        _check(rate, requests)
        from scipy.special import gamma

        shape = self.shape
        return np.cumsum(arrivals.weibull(shape, requests) / (rate * gamma(1 + 1 / shape)))


@dataclass(frozen=True)
class MarkovModulated:
    """A Poisson process whose rate jumps between states (MMPP).

    State i has a rate in proportion to `intensities[i]` and lasts an exponential time of mean `sojourns[i]` seconds;
    the next is any other one, equally likely. It starts in equilibrium: in state i with a share of sojourns[i].
    """

    intensities: Sequence[float]
    sojourns: Sequence[float]

    def __post_init__(self) -> None:
        check_weights("intensities", tuple(self.intensities))
        if len(self.intensities) != len(self.sojourns) or len(self.sojourns) < 2:
            raise ValueError(
                f"intensities and sojourns must be of two states or more, got {len(self.intensities)} and "
                f"{len(self.sojourns)}"
            )
        if not all(0 < seconds < math.inf for seconds in self.sojourns):
            raise ValueError(f"sojourns must be positive and finite, got {list(self.sojourns)}")

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`: a Poisson process on a clock that runs as fast as the state's intensity."""
        clock = poisson(rate, requests, arrivals)
        shares = np.array(self.sojourns) / sum(self.sojourns)
        speeds = np.array(self.intensities) / (shares @ self.intensities)
        state = int(arrivals.choice(len(shares), p=shares))
        times, passed = [0.0], [0.0]
        while passed[-1] <= clock[-1]:
            sojourn = arrivals.exponential(self.sojourns[state])
            times.append(times[-1] + sojourn)
            passed.append(passed[-1] + sojourn * speeds[state])
            state = (state + 1 + int(arrivals.integers(len(shares) - 1))) % len(shares)
        return np.interp(clock, passed, times)


@dataclass(frozen=True)
class Diurnal:
    """`process` on a clock that runs as fast as the time of day has it.

    `profile` holds the relative rates of equal parts of a `period` (s): 24 of them and a day are an hourly shape. The
    trace starts `start` seconds into the period. The mean rate holds over whole periods.
    """

    profile: Sequence[float]
    period: float = 86400.0
    start: float = 0.0
    process: Process = Poisson()

    def __post_init__(self) -> None:
        check_weights("profile", tuple(self.profile))
        _check_period(self)

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        times = np.linspace(0.0, self.period, len(self.profile) + 1)
        passed = np.append(0.0, np.cumsum(self.profile)) * (self.period / sum(self.profile))
        return _on_clock(self.process.instants(rate, requests, arrivals), times, passed, self.start)


@dataclass(frozen=True)
class Sinusoid:
    """`process` on a clock whose speed is 1 + `amplitude` * sin(2 pi t / `period`), from t = `start` (s) on.

    The mean rate holds over whole periods.
    """

    amplitude: float
    period: float = 86400.0
    start: float = 0.0
    process: Process = Poisson()

    def __post_init__(self) -> None:
        if not 0 <= self.amplitude <= 1:
            raise ValueError(f"amplitude must be between 0 and 1, got {self.amplitude}")
        _check_period(self)

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        times = np.linspace(0.0, self.period, GRID + 1)
        turn = self.period / (2 * math.pi)
        passed = times + self.amplitude * turn * (1 - np.cos(times / turn))
        return _on_clock(self.process.instants(rate, requests, arrivals), times, passed, self.start)


@dataclass(frozen=True)
class Ticked:
    """`process`, whose arrivals are seen at the last tick before: so many counts at each multiple of `tick` (s)."""

    tick: float = 1.0
    process: Process = Poisson()

    def __post_init__(self) -> None:
        check_positive(self, "tick")

    def instants(self, rate: float, requests: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Process`."""
        return np.floor(self.process.instants(rate, requests, arrivals) / self.tick) * self.tick


def _on_clock(clock: np.ndarray, times: np.ndarray, passed: np.ndarray, start: float) -> np.ndarray:
    """The times after `start` at which a periodic clock, which shows `passed` at `times` of a period, shows `clock`."""
    period = times[-1]
    cycles, phase = divmod(start, period)
    whole, rest = np.divmod(clock + cycles * period + np.interp(phase, times, passed), period)
    return np.maximum(whole * period + np.interp(rest, passed, times) - start, 0.0)


def _check(rate: float, requests: int) -> None:
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError(f"rate must be a positive number of requests/s, got {rate}")
    if requests < 1:
        raise ValueError(f"requests must be at least 1, got {requests}")


def _check_cv(cv: float) -> None:
    low, high = CV_RANGE
    if not low <= cv <= high:
        raise ValueError(f"cv must be between {low:g} and {high:g}, got {cv}")


def _check_period(process: Diurnal | Sinusoid) -> None:
    check_positive(process, "period")
    check_not_negative(process, "start")
