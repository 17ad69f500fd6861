"""Which layers run at the client and which at the server: SplitLLM's dynamic program, and greedy rules beside it.

Sought is the least work of the server such that what one request takes, from its input at the client to its result
there, is within a service level agreement (SLA). SplitLLM (arXiv 2410.10759) walks over (layer, place) with time in
whole units; the recursion is derived from summaries of it [S]. Its greedy rule was not read: two are here [A].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HAIR = 1e-9  # of a unit, or of an SLA: what a float may be off without a placement being lost to it


@dataclass(frozen=True, eq=False)
class Costs:
    """What each of n layers costs at either place, an entry a layer: seconds, but for `work`, which has any unit.

    `client` and `server` compute it there, and `work` is what the server spends on it; `up` brings what the layer reads
    to the server (the first's is the input), `down` what it gives to the client (the last's is the result).
    """

    client: Floats
    server: Floats
    work: Floats
    up: Floats
    down: Floats

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, np.asarray(getattr(self, one.name), dtype=np.float64))
        if not len(self.client):
            raise ValueError("a placement is of one layer at least, got none")
        for one in fields(self):
            values = getattr(self, one.name)
            if values.shape != self.client.shape:
                raise ValueError(f"{one.name} has {values.size} values, and there are {len(self.client)} layers")
            wrong = np.flatnonzero(~((values >= 0) & np.isfinite(values)))
            if len(wrong):
                layer = int(wrong[0])
                raise ValueError(f"{one.name} of layer {layer} must be finite, not negative, got {values[layer]}")

    @property
    def layers(self) -> int:
        """How many there are."""
        return len(self.client)

    def edges(self) -> NDArray[np.float64]:
        """Seconds of each layer, [layer, the place before, its own], 0 the client's and 1 the server's.

        What comes last, after the layers, is bringing the result to the client.
        """
        home = np.concatenate([[0.0], self.down])
        found = np.full((self.layers + 1, 2, 2), math.inf)
        found[:-1, 0, 0], found[:-1, 1, 1] = self.client, self.server
        found[:-1, 0, 1], found[:-1, 1, 0] = self.up + self.server, home[:-1] + self.client
        found[-1, :, 0] = 0.0, home[-1]
        return found


@dataclass(frozen=True, slots=True)
class Placement:
    """Whether each layer is `at_server`, the server's `work` on them, and the `seconds` of one request alone."""

    at_server: tuple[bool, ...]
    work: float
    seconds: float

    @property
    def switches(self) -> int:
        """How often a request goes over the link, its input and its result included."""
        return int(np.abs(np.diff([0, *map(int, self.at_server), 0])).sum())


Rule = Callable[[Costs, float], Placement]  # of costs and an SLA, s


def placed(costs: Costs, at_server: Sequence[bool]) -> Placement:
    """The placement with these layers at the server."""
    chosen = tuple(map(bool, at_server))
    return Placement(chosen, float(costs.work[np.array(chosen)].sum()), _seconds(costs.edges(), chosen))


def least_seconds(costs: Costs) -> float:
    """Seconds of the fastest placement."""
    return float(_least(costs.edges()))


def dynamic(costs: Costs, sla: float, delta: float) -> Placement:
    """The least work within `sla` (s), time in units of `delta` (s), and of those with as little the fastest one.

    Each layer's seconds with those of its transfer are rounded up, so that what is found keeps the SLA; a placement
    that keeps it by n + 1 units is never missed. O(n sla / delta). ValueError, with the least latency, where none does.
    """
    if not 0 < delta < math.inf:
        raise ValueError(f"delta must be positive, got {delta} s")
    exact = costs.edges()
    edges, width = np.ceil(exact / delta - HAIR), _units(sla, delta) + 1
    if (least := _least(edges)) >= width:
        raise _too_strict(costs, sla, f", in units of {delta:g} s {least * delta:g} s")
    client, server = np.full((2, width), math.inf)
    client[0] = 0.0  # where the input is
    from_server = np.zeros((costs.layers, 2, width), dtype=bool)
    for layer, steps in enumerate(edges[:-1]):
        stays, returns = _later(client, steps[0, 0]), _later(server, steps[1, 0])
        leaves, remains = _later(client, steps[0, 1]), _later(server, steps[1, 1])
        from_server[layer] = returns < stays, remains < leaves
        client, server = np.minimum(stays, returns), np.minimum(leaves, remains) + costs.work[layer]
    home = _later(server, edges[-1, 1, 0])
    unit = int(np.argmin(np.minimum(client, home)))
    here = int(home[unit] < client[unit])
    unit -= int(edges[-1, here, 0])
    at_server: list[bool] = []
    for layer in reversed(range(costs.layers)):
        before = int(from_server[layer, here, unit])
        at_server.insert(0, bool(here))
        unit -= int(edges[layer, before, here])
        here = before
    return placed(costs, at_server)


@dataclass(frozen=True)
class InUnits:
    """`dynamic` with time in so many `units` of the SLA."""

    units: int

    def __post_init__(self) -> None:
        if not 1 <= self.units <= 10_000_000:
            raise ValueError(f"units must be from 1 to 10,000,000, got {self.units}")

    def __call__(self, costs: Costs, sla: float) -> Placement:
        """The least work within `sla` (s)."""
        return dynamic(costs, sla, sla / self.units)


def server_only(costs: Costs, sla: float) -> Placement:
    """All layers at the server; ValueError where that takes longer than `sla` (s)."""
    return _within(costs, placed(costs, [True] * costs.layers), sla)


def longest_prefix(costs: Costs, sla: float) -> Placement:
    """G1 [A]: as many layers from the first on at the client as the `sla` (s) allows, the others at the server.

    ValueError where no such cut keeps it.
    """
    for layers in reversed(range(costs.layers + 1)):
        found = placed(costs, [False] * layers + [True] * (costs.layers - layers))
        if _keeps(found.seconds, sla):
            return found
    raise _too_strict(costs, sla, ", and no client prefix keeps it")


def best_ratio(costs: Costs, sla: float) -> Placement:
    """G2 [A]: from all at the server on, the layer goes to the client that saves most work for a second more.

    Of those that keep the `sla` (s); one that takes no longer goes before all others, the largest first. ValueError
    where all at the server does not keep it.
    """
    found, edges = server_only(costs, sla), costs.edges()
    while True:
        moves = []
        for layer in np.flatnonzero(found.at_server):
            moved = [*found.at_server[:layer], False, *found.at_server[layer + 1 :]]
            if _keeps(seconds := _seconds(edges, moved), sla):
                more, work = seconds - found.seconds, float(costs.work[layer])
                moves.append(((1, work) if more <= 0 else (0, work / more), -int(layer), moved))
        if not moves:
            return found
        found = placed(costs, max(moves)[2])


def _seconds(edges: Floats, at_server: Sequence[bool]) -> float:
    places = np.array([False, *at_server, False], dtype=int)
    return float(edges[np.arange(len(edges)), places[:-1], places[1:]].sum())


def _least(edges: Floats) -> float:
    best = np.array([0.0, math.inf])
    for steps in edges:
        best = (best[:, None] + steps).min(axis=0)
    return float(best[0])


def _later(row: Floats, units: float) -> Floats:
    """What `row` has, so many places further on; what goes beyond its end is too late."""
    found = np.full_like(row, math.inf)
    by = int(min(units, len(row)))
    found[by:] = row[: len(row) - by]
    return found


def _units(sla: float, delta: float) -> int:
    if not 0 <= sla < math.inf:
        raise ValueError(f"an SLA must be finite and not negative, got {sla} s")
    return math.floor(sla / delta + HAIR)


def _keeps(seconds: float, sla: float) -> bool:
    return seconds <= sla * (1 + HAIR)


def _within(costs: Costs, found: Placement, sla: float) -> Placement:
    if not _keeps(found.seconds, sla):
        raise _too_strict(costs, sla, f", all at the server {found.seconds:g} s")
    return found


def _too_strict(costs: Costs, sla: float, more: str) -> ValueError:
    return ValueError(
        f"no placement found within an SLA of {sla:g} s: the least latency is {least_seconds(costs):g} s{more}"
    )
