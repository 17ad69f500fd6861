"""Mean responses in theory of any order by a job's age alone, one server, with preemption: SOAP; and of Gittins's.

Scully, Harchol-Balter and Scheller-Wolf (2018): of ranks by age the least is served, of equal ranks who came first. A
job of x waits for the work that ranks no worse than the worst rank w that it will have: of those before it
all the stretches of their ages at which they rank so, of those behind it what comes before they rank as badly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from experiments.engine.queueing.laws import Floats, Law
from experiments.engine.queueing.means import rate

CELLS = 3000  # of ages, in equal ratios
FINEST, RAREST = 1e-4, 1e-12  # of the mean: the first of them; the chance of an age beyond the last


@lru_cache(maxsize=16)
def ages(law: Law, more: tuple[float, ...] = (), cells: int = CELLS) -> Floats:
    """Edges (s) of so many cells within which a rank is taken to be the same, and these `more` among them."""
    top = max(law.bends, default=law.mean)
    while law.survival(top) > RAREST:
        top *= 1.25
    edges = np.geomspace(FINEST * law.mean, top, cells)
    return np.unique([0.0, *edges, *law.bends, *(age for age in more if age < top)])


def index(law: Law, edges: Floats) -> Floats:
    """Gittins's rank at the beginning of each cell: the least of E[min(S - a, D); S > a] / P(a < S <= a + D).

    From the last cell back: what follows is kept as stretches of rising cost for each job that ends, and a cell takes
    in those that cost less than it.
    """
    points, shares = np.polynomial.legendre.leggauss(4)
    widths = np.diff(edges)
    cost = law.survival(edges[:-1, None] + widths[:, None] * (1 + points) / 2) @ shares * widths / 2
    ends = -np.diff(law.survival(edges))
    ranks, stretches = np.empty(len(widths)), [(math.inf, 0.0)]
    for cell in reversed(range(len(widths))):
        spent, done = float(cost[cell]), float(ends[cell])
        while spent * stretches[-1][1] >= stretches[-1][0] * done and len(stretches) > 1:
            spent, done = spent + stretches[-1][0], done + stretches[-1][1]
            stretches.pop()
        stretches.append((spent, done))
        ranks[cell] = spent / done if done > 0 else math.inf
    return ranks


def soap(law: Law, load: float, edges: Floats, ranks: Sequence[float] | Floats) -> float:
    """The mean response, s, where a job has `ranks[i]` at ages (s) from `edges[i]` on.

    Of jobs of infinite rank that which came last goes first, as under `policies.order.gittins`.
    """
    arrivals, ranks = rate(law, load), np.asarray(ranks)
    work, square, left = law.truncated(1, edges), law.truncated(2, edges), law.survival(edges)
    worst = np.maximum.accumulate(ranks)  # that a job of this size has had
    never = np.isinf(ranks)
    new = np.where(never, len(ranks), np.searchsorted(worst, ranks))  # up to this edge one that comes later goes first
    busy = 1 / (1 - arrivals * work[new])  # how much longer a second of service takes than a second
    waits = np.empty(len(ranks))
    for first in np.unique(worst, return_index=True)[1]:
        rank = ranks[first]
        served = np.concatenate([[False], ranks < rank if never[first] else ranks <= rank, [False]])
        since, until = np.flatnonzero(served[1:] & ~served[:-1]), np.flatnonzero(served[:-1] & ~served[1:])
        old = square[until] - square[since] - 2 * edges[since] * (work[until] - work[since])
        begun = work[until[0]] if len(until) and since[0] == 0 else 0.0
        waits[worst == rank] = arrivals * old.sum() / 2 / (1 - arrivals * begun) * busy[first]
    passed, total, stretches = np.empty(len(ranks)), 0.0, [(math.inf, 0.0, 0.0)]
    widths = np.diff(edges)
    for cell, rank in enumerate(ranks.tolist()):
        # Seconds to pass all cells before this one, each at the worst rank from it on to this cell.
        length = 0.0
        while len(stretches) > 1 and stretches[-1][0] <= rank:
            _, seconds, factor = stretches.pop()
            length, total = length + seconds, total - seconds * factor
        total += length * busy[cell]
        passed[cell] = total
        total += widths[cell] * busy[cell]
        stretches.append((rank, length + widths[cell], busy[cell]))
    here = -np.diff(left)
    last = np.diff(work) - widths * left[1:]  # in the cell in which a job ends, E[x - its edge]
    return float(here @ (waits + passed) + last @ busy)


def gittins(law: Law, load: float) -> float:
    """Gittins's order, the least mean of all that do not know the sizes."""
    edges = ages(law)
    return soap(law, load, edges, index(law, edges))
