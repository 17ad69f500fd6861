"""Mean responses in theory, seconds, of a law of sizes at a load: closed forms, and Gauss's quadrature over sizes.

The load is that of each server. In what follows r is the rate of arrivals, r(x) the load of jobs of at most x, and
R(x) = r E[min(S, x)]; a preempted job goes on where it was, at no cost. The formulas are the field's; limited
preemption (TRAIL's lemma) and finite quanta are by SOAP (Scully, Harchol-Balter and Scheller-Wolf 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from experiments.engine.queueing.laws import Floats, Law, Phases

Mean = Callable[[Law, float], float]  # s, of a law and a load

POINTS = 10  # of Gauss's quadrature in each panel
SMALLEST = 1e-9  # of the mean: where the first panel ends; the others grow in equal ratios
TAIL = 1e-18  # the chance of a size beyond the last panel


@lru_cache(maxsize=16)
def quadrature(law: Law, panels: int = 400, widened: float = 1.0) -> tuple[Floats, Floats]:
    """Sizes (s) and weights (s): the integral of f over all sizes is weights @ f(sizes). `widened` times as far."""
    top = max(law.bends, default=law.mean)
    while law.survival(top) > TAIL:
        top *= 2
    edges = np.unique([0.0, *np.geomspace(SMALLEST * law.mean, widened * top, panels), *law.bends])
    points, shares = np.polynomial.legendre.leggauss(POINTS)
    half = np.diff(edges) / 2
    return (edges[:-1, None] + half[:, None] * (1 + points)).ravel(), (half[:, None] * shares).ravel()


def rate(law: Law, load: float) -> float:
    """Arrivals/s at one server; ValueError unless the `load` is within (0, 1)."""
    if not 0 < load < 1:
        raise ValueError(f"load must be within (0, 1), got {load}")
    return load / law.mean


def fcfs(law: Law, load: float) -> float:
    """First come, first served: Pollaczek and Khinchine."""
    return law.mean + rate(law, load) * law.moment(2) / (2 * (1 - load))


def ps(law: Law, load: float) -> float:
    """Processor sharing, the same for all laws of one mean; last come, first served with preemption too."""
    return rate(law, load) * law.mean**2 / (load * (1 - load))


def sjf(law: Law, load: float) -> float:
    """The shortest job first, without preemption: x + r E[S^2] / 2 (1 - r(x))^2 for a job of x."""
    arrivals = rate(law, load)
    sizes, weights = quadrature(law)
    below = arrivals * law.part(1, sizes)
    return law.mean + arrivals * law.moment(2) / 2 * float(weights @ (law.density(sizes) / (1 - below) ** 2))


def psjf(law: Law, load: float) -> float:
    """The shortest job first, with preemption: r E[S^2; S <= x] / 2 (1 - r(x))^2 + x / (1 - r(x))."""
    return _delayed_by(law.part, law, load)


def srpt(law: Law, load: float) -> float:
    """The shortest remaining time first: r E[min(S, x)^2] / 2 (1 - r(x))^2 + the integral of dt / (1 - r(t)) to x."""
    return limited(1.0)(law, load)


def fb(law: Law, load: float) -> float:
    """The least attained service first, quanta that vanish: r E[min(S, x)^2] / 2 (1 - R(x))^2 + x / (1 - R(x))."""
    return _delayed_by(law.truncated, law, load)


def _delayed_by(moment: Callable[[int, Floats], Floats], law: Law, load: float) -> float:
    """The mean where a job of x shares the server with the work up to x of others, whose moments are `moment`(k, x)."""
    arrivals = rate(law, load)
    sizes, weights = quadrature(law)
    idle = 1 - arrivals * moment(1, sizes)
    response = arrivals * moment(2, sizes) / (2 * idle**2) + sizes / idle
    return float(weights @ (law.density(sizes) * response))


def fb_by_quanta(quantum: float) -> Mean:
    """The fewest whole quanta (s) attained first, those of as many in the order of arrival; it tends to `fb`."""
    if not 0 < quantum < math.inf:
        raise ValueError(f"quantum must be positive, got {quantum}")

    def mean(law: Law, load: float) -> float:
        arrivals = rate(law, load)
        top = quadrature(law)[0][-1]
        ends = quantum * np.arange(1, math.ceil(top / quantum) + 1)
        starts = ends - quantum
        ended, started = (1 - arrivals * law.truncated(1, bound) for bound in (ends, starts))
        waits = arrivals * law.truncated(2, ends) / (2 * ended * started)
        here, work = (np.diff(law.part(power, np.append(0.0, ends))) for power in (0, 1))
        return float(here @ waits + (work / started).sum())

    return mean


def limited(c: float) -> Mean:
    """The shortest predicted remaining time, perfectly predicted, no preemption from a share `c` of the size on.

    A longer job of y counts once it has min(y - x, c y) behind it and may not be stopped, or is as short as x.
    """
    check_share(c)

    def mean(law: Law, load: float) -> float:
        arrivals = rate(law, load)
        sizes, weights = quadrature(law)
        idle = 1 - arrivals * law.part(1, sizes)
        fixed = sizes / (1 - c) if c < 1 else np.full_like(sizes, math.inf)  # of longer ones: no longer stopped
        longer = sizes**2 * (law.survival(sizes) - law.survival(fixed))
        longest = (1 - c) ** 2 * (law.moment(2) - law.part(2, fixed))
        wait = arrivals * (law.part(2, sizes) + longer + longest) / (2 * idle**2)
        stopped = (law.survival(sizes) - law.survival(fixed)) / idle
        return float(weights @ (law.density(sizes) * wait + stopped)) + (1 - c) * law.mean

    return mean


def limited_by_guess(c: float) -> Mean:
    """As `limited`, by a prediction y that is exponential, with the size x as its mean: density exp(-y / x) / x."""
    check_share(c)
    ends = 1 / c if c > 0 else math.inf  # sizes: a prediction so long lets its job be stopped as long as it runs

    def mean(law: Law, load: float) -> float:
        arrivals = rate(law, load)
        sizes, weights = quadrature(law, 150)
        chances = weights * law.density(sizes)
        guesses, spans = quadrature(law, 150, widened=40.0)
        guess = guesses[:, None]
        longer = np.exp(-guess / sizes)  # the chance that the prediction for a size is longer than a guess
        idle = 1 - arrivals * (1 - longer) @ (chances * sizes)

        # E[(x - m)^2; y > guess] / x^2: m = y - guess up to y = guess / (1 - c), then c y, until that is x.
        fixed = guess / (1 - c) if c < 1 else np.full_like(guess, math.inf)
        span = np.minimum((fixed - guess) / sizes, 1.0)
        first = longer * (1 - (1 + span**2) * np.exp(-span))
        begun = np.minimum(fixed / sizes, ends)
        left = 1 - c * begun
        second = np.exp(-begun) * (left**2 - 2 * c * left + 2 * c**2) - 2 * c**2 * math.exp(-ends)
        wait = arrivals * (1 - longer + first + second) @ (chances * sizes**2) / (2 * idle**2)
        said = longer @ (chances / sizes)  # the density of the prediction
        stopped = (longer - np.exp(-np.minimum(guess + sizes, fixed) / sizes)) @ chances / idle
        never = 1 - c + c * math.exp(-ends)  # E[(x - c y)^+] / x
        return float(spans @ (said * wait + stopped)) + never * law.mean

    return mean


def check_share(c: float) -> None:
    """ValueError unless `c` is within [0, 1]."""
    if not 0 <= c <= 1:
        raise ValueError(f"c must be within [0, 1], got {c}")


def erlang_c(servers: int) -> Mean:
    """So many servers, exponential sizes, first come, first served."""
    if servers < 1:
        raise ValueError(f"servers must be at least 1, got {servers}")

    def mean(law: Law, load: float) -> float:
        if not (isinstance(law, Phases) and law.stages == (1,)):
            raise ValueError(f"M/M/k has exponential sizes, got {law}")
        work = servers * rate(law, load) * law.mean
        last = work**servers / math.factorial(servers) / (1 - load)
        queued = last / (sum(work**jobs / math.factorial(jobs) for jobs in range(servers)) + last)
        return law.mean + queued * law.mean / (servers * (1 - load))

    return mean


def among_calls(law: Law, load: float) -> float:
    """First come, first served, back to the tail after each call: the time without calls in a Jackson network."""
    return erlang_c(1)(law, load)


def no_queue(law: Law, load: float) -> float:
    """A server for each job; the load is the mean number of jobs, and any."""
    return law.mean
