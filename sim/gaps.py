"""Inter-token latency: the gaps between consecutive tokens of a request, from a run's tables of requests and steps.

What `vllm bench serve` calls ITL: all gaps of all requests together, the first token's not among them. Nothing is kept
for it while a run goes on: a request whose replica made as many steps between its first token and its last as it has
tokens after the first got one in each of them, for a step gives at most one. Of other requests their spans say in
which steps they may have got one; where those are as many as the tokens, they did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.metrics import PERCENTILES
from sim.record import Table

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps (s) of the requests of a run, by row of its table, where they are `seen`; `longest` is NaN elsewhere.

    `between` are the seconds between the ends of consecutive steps, the replicas' one after another: a request that is
    seen has those from `low` up to `high`. Of those seen by their spans `alone` has the row, and a gap of its own.
    """

    seen: Mask
    longest: Floats
    between: Floats
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    alone: tuple[NDArray[np.int64], Floats]

    def distribution(self, rows: Mask) -> dict[str, float]:
        """Mean, percentiles and maximum of all gaps of those `rows` that are seen; NaN if they have none."""
        values, many = self._of(rows)
        if not len(values):
            return dict.fromkeys((f"itl_{part}" for part in ("mean", *PERCENTILES, "max")), math.nan)
        return {
            "itl_mean": float(values @ many / many.sum()),
            **{f"itl_{name}": percentile(values, percent, many) for name, percent in PERCENTILES.items()},
            "itl_max": float(values[-1]),
        }

    def percentile(self, rows: Mask, percent: float) -> float:
        """Of all gaps of those `rows`, s; 0 where they have none, as of answers of one token."""
        values, many = self._of(rows)
        return percentile(values, percent, many) if len(values) else 0.0

    def _of(self, rows: Mask) -> tuple[Floats, NDArray[np.int64]]:
        """The different gaps of those `rows`, the shortest first, and how many of the requests have each."""
        chosen = rows & self.seen
        change = np.zeros(len(self.between) + 1, np.int64)
        np.add.at(change, self.low[chosen], 1)
        np.add.at(change, self.high[chosen], -1)
        counts = np.cumsum(change)[:-1]
        own = chosen[self.alone[0]]
        values = np.concatenate([self.between[counts > 0], self.alone[1][own]])
        counts = np.concatenate([counts[counts > 0], np.ones(own.sum(), np.int64)])
        order = np.argsort(values, kind="stable")
        return values[order], counts[order]


def percentile(values: Floats, percent: float, many: NDArray[np.int64]) -> float:
    """That of `values` in their order, each of which is there so `many` times: linear between ranks, as numpy's is."""
    last = np.cumsum(many)
    rank = (last[-1] - 1) * percent / 100
    low, high = (values[np.searchsorted(last, part, side="right")] for part in (math.floor(rank), math.ceil(rank)))
    return float(low if low == high else low + (high - low) * (rank - math.floor(rank)))


def gaps(requests: Table, steps: Table, spans: Table | None = None) -> Gaps:
    """The gaps of the finished `requests`, from the `steps` of the same run and, if they are there, its `spans`.

    Without spans those are not seen that got no token in some step after their first: they were stopped, called out, or
    went on at another replica. With or without, those that found no room in a step's tokens, that got several in one,
    and those of static batches, which show none before the end.
    """
    count = len(requests["id"])
    seen, longest = np.zeros(count, bool), np.full(count, np.nan)
    low, high = np.zeros(count, np.int64), np.zeros(count, np.int64)
    first, finished = requests["first_token"], requests["finished"]
    shown = ~np.isnan(first) & ~np.isnan(finished) & (requests["passes"] == 0)
    parts: list[Floats] = []
    begin = 0
    for name in np.unique(requests["replica"][shown]):
        ends = steps["end"][steps["replica"] == name]
        rows = np.flatnonzero(shown & (requests["replica"] == name))
        at, until = np.searchsorted(ends, first[rows]), np.searchsorted(ends, finished[rows])
        whole = (until < len(ends)) & (until - at == requests["output_tokens"][rows] - 1)
        rows, at, until = rows[whole], at[whole], until[whole]
        exact = (ends[at] == first[rows]) & (ends[until] == finished[rows])
        rows, at, until = rows[exact], at[exact], until[exact]
        between = np.diff(ends)
        seen[rows], longest[rows] = True, 0.0
        low[rows], high[rows] = begin + at, begin + until
        several = until > at
        if several.any():
            pairs = np.stack([at[several], until[several]], axis=1).ravel()
            tops = np.maximum.reduceat(np.append(between, -np.inf), pairs)[::2]
            longest[rows[several]] = tops
        parts.append(between)
        begin += len(between)
    alone = _alone(requests, steps, spans or {}, np.flatnonzero(shown & ~seen))
    for row, own in alone.items():
        seen[row], longest[row] = True, own.max()
    rows = np.repeat([*alone], [len(own) for own in alone.values()]) if alone else np.array([], np.int64)
    own = np.concatenate([*alone.values()]) if alone else np.array([])
    return Gaps(seen, longest, np.concatenate(parts) if parts else np.array([]), low, high, (rows, own))


def _alone(requests: Table, steps: Table, spans: Table, rows: NDArray[np.int64]) -> dict[int, Floats]:
    """The gaps of those `rows` that got a token in every step in which they may have got one, by their spans.

    That is each step of a span that decodes, and the last of those in a row that compute what is not emitted.
    """
    if not spans or not len(rows):
        return {}
    ends = {name: steps["end"][steps["replica"] == name] for name in np.unique(steps["replica"])}
    order = np.argsort(spans["request"], kind="stable")
    column = {name: spans[name][order] for name in ("request", "replica", "span", "first_step", "last_step")}
    found: dict[int, Floats] = {}
    for row in rows.tolist():
        one = requests["id"][row]
        low, high = np.searchsorted(column["request"], [one, one + 1])
        instants: list[float] = []
        computed: float | None = None  # when what is computed and not emitted may be complete
        for at in range(low, high):
            state, first, last = column["span"][at], column["first_step"][at], column["last_step"][at]
            if state in ("prefill", "recompute"):
                computed = ends[column["replica"][at]][last] if last >= 0 else computed
                continue
            instants += [] if computed is None else [computed]
            computed = None
            if state == "decode" and last >= 0:
                instants += ends[column["replica"][at]][first : last + 1].tolist()
        instants += [] if computed is None else [computed]
        instants = [instant for instant in instants if requests["first_token"][row] <= instant]
        instants = [instant for instant in instants if instant <= requests["finished"][row]]
        if len(instants) == requests["output_tokens"][row] > 1 and instants[-1] == requests["finished"][row]:
            found[row] = np.diff(instants)
    return found
