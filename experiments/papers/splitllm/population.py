"""Requests of several models whose layers are placed at clients and at one server: what comes to the server.

A token of these traces is UNIT of the server's work. A request comes when its input, or what its client has made of it,
has come; each visit to the server is a prefill, and what passes at the client and on the link between two is a call.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from experiments.papers.splitllm.chain import Chain, Visits, roofline, visits
from policies.placement import Costs, Placement, Rule, placed
from sim import Link
from traces.synthetic.arrivals import Process
from traces.synthetic.workload import drawn

UNIT = 1e-6  # s of the server's work that a token stands for
BITS = 8e-6  # Mbit of a byte


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that are alike: of a `model`, under `told` circumstances, with `costs` and an `sla` (s)."""

    model: str
    told: Mapping[str, Any]
    costs: Costs
    sla: float


@dataclass(frozen=True, kw_only=True)
class Population:
    """All combinations of models with their tokens, `servers`, `slowdowns`, uplinks `up` (Mbit/s), `rtt` (s) and `sla`.

    The server is a device by its datasheet, a client takes `slowdowns` times as long for a layer; a downlink is
    `down_ratio` times as fast as the uplink; an SLA is a multiple of the seconds of a request alone with all layers at
    the server. `place` says what runs where. All of this is assumed [A]: the paper's set-up is not known.
    """

    models: Mapping[str, Chain]
    place: Rule
    servers: Sequence[str]
    launching: str
    slowdowns: Sequence[float]
    up: Sequence[float]
    down_ratio: float
    rtt: Sequence[float]
    sla: Sequence[float]

    def __post_init__(self) -> None:
        for server in self.servers:
            roofline(server, self.launching)
        if not self.servers or not self.rtt:
            raise ValueError(f"servers and rtt must be one value at least, got {self.servers} and {self.rtt}")
        for name in ("slowdowns", "up", "sla"):
            values = getattr(self, name)
            if not values or not min(values) > 0:
                raise ValueError(f"{name} must be one value at least, all positive, got {values}")

    @property
    def kinds(self) -> Sequence[Kind]:
        """Those that there are, in order."""
        return _kinds(*self._said)

    @property
    def placed(self) -> Sequence[tuple[Placement, Visits]]:
        """Of each kind its placement, and what the server sees of it."""
        return _placed(self.place, *self._said)

    @property
    def _said(self) -> tuple[Any, ...]:
        ranges = (tuple(one) for one in (self.slowdowns, self.up, self.rtt, self.sla))
        return tuple(self.models.items()), tuple(self.servers), self.launching, self.down_ratio, *ranges

    def training(self) -> pd.DataFrame:
        """ValueError: nothing is fitted to these."""
        raise ValueError("requests of split models have no rows to fit a predictor to; predictor=oracle needs none")

    def table(self, instants: np.ndarray, chosen: Sequence[int]) -> pd.DataFrame:
        """What comes to the server of requests of the `chosen` kinds that begin at the client at these `instants` (s).

        ValueError where all of them stay at their clients.
        """
        rows, kinds, every = [], self.kinds, self.placed
        for start, number in zip(instants, chosen, strict=True):
            kind, (_, seen) = kinds[number], every[number]
            if seen.works:
                rows.append({"task": kind.model, "client": _label(kind, seen), **_row(float(start), seen)})
        if not rows:
            raise ValueError(f"no request comes to a server: all of {len(chosen)} are served at their clients")
        table = pd.DataFrame(rows).sort_values("arrival", kind="stable", ignore_index=True)
        found = drawn(table, "split models")
        if stayed := len(chosen) - len(rows):
            found.attrs["skipped"] = {"all layers at the client": stayed}
        return found


@lru_cache(maxsize=8)
def _kinds(
    models: Sequence[tuple[str, Chain]],
    servers: Sequence[str],
    launching: str,
    down_ratio: float,
    *ranges: Sequence[float],
) -> list[Kind]:
    """Kept, for in a sweep each process meets the same kinds under many rates and seeds."""
    found, (slowdowns, ups, rtts, slas) = [], ranges
    for server, (name, model) in itertools.product(servers, models):
        times = roofline(server, launching)
        for tokens, slowdown, up, rtt in itertools.product(model.tokens, slowdowns, ups, rtts):
            links = (Link(rtt / 2, rate / BITS) for rate in (up, down_ratio * up))
            costs = model.costs(tokens, times, slowdown, *links)
            whole = placed(costs, [True] * costs.layers).seconds
            stated = {"server": server, "tokens": tokens, "slowdown": slowdown, "up": up, "rtt": rtt}
            found += [Kind(name, {**stated, "sla": factor}, costs, factor * whole) for factor in slas]
    return found


@lru_cache(maxsize=16)
def _placed(place: Rule, *said: Any) -> list[tuple[Placement, Visits]]:
    kinds = _kinds(*said)
    chosen = [place(kind.costs, kind.sla) for kind in kinds]
    return [(one, visits(kind.costs, one)) for kind, one in zip(kinds, chosen, strict=True)]


def _label(kind: Kind, seen: Visits) -> str:
    outside = seen.before + sum(seen.gaps) + seen.after
    return labelled({**kind.told, "limit": kind.sla, "outside": outside, "work": UNIT * sum(map(_units, seen.works))})


def _units(work: float) -> int:
    return max(1, round(work / UNIT))


def labelled(values: Mapping[str, Any]) -> str:
    """Values as the text that stands for a request's client."""
    return " ".join(f"{key}={value if isinstance(value, str) else f'{value:.9g}'}" for key, value in values.items())


def told(label: str) -> dict[str, Any]:
    """What `labelled` made a text of, numbers as such."""
    pairs = (one.split("=", 1) for one in label.split(" "))
    return {key: value if key == "server" else float(value) for key, value in pairs}


def _row(start: float, seen: Visits) -> dict[str, Any]:
    works = [*map(_units, seen.works)]
    pauses = [[at, gap, units - 1] for at, (gap, units) in enumerate(zip(seen.gaps, works[1:], strict=True), 1)]
    return {
        "arrival": start + seen.before,
        "prompt_tokens": works[0],
        "output_tokens": len(works),
        "pauses": pauses,
    }


@dataclass(frozen=True, kw_only=True)
class OneEach(Population):
    """A request of each kind, one after the other, so that none waits for another."""

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return "synthetic: a request of each kind of split models, by datasheets"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """Nothing is drawn."""
        taken = [found.seconds for found, _ in self.placed]
        return self.table(np.cumsum([0.0, *taken[:-1]]), range(len(taken)))


@dataclass(frozen=True, kw_only=True)
class Mixed(Population):
    """`requests` of kinds drawn alike, at clients by `arrivals` at `load` times what the server alone could serve.

    That is how many would keep it busy all the time with all layers at it.
    """

    load: float
    requests: int
    arrivals: Process

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.load > 0 and self.requests > 0):
            raise ValueError(f"load and requests must be positive, got {self.load} and {self.requests}")

    @property
    def rate(self) -> float:
        """Requests/s at all clients together."""
        return self.load / float(np.mean([kind.costs.work.sum() for kind in self.kinds]))

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return f"synthetic: {self.arrivals}, split models drawn alike, by datasheets"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests begin, `lengths` of which kind each is."""
        instants = self.arrivals.instants(self.rate, self.requests, arrivals)
        return self.table(instants, lengths.integers(len(self.kinds), size=self.requests).tolist())
