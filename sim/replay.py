"""Replay a trace on a cluster under a policy."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable

from sim.cluster import Cluster
from sim.policy import Policy, Predictor
from sim.record import Record, Tables
from sim.request import Request
from sim.simulation import Simulation


def simulate(
    requests: Iterable[Request],
    policy: Policy,
    cluster: Cluster,
    predictor: Predictor,
    *,
    horizon: float | None = None,
    record: Record = Record.REQUESTS,
    leap: bool = True,
    walk: bool = False,
    unservable: str = "reject",
    audit: bool = False,
    progress: Callable[[], None] | None = None,
) -> Tables:
    """Replay `requests` (in order of arrival) and return what happened.

    Without a `horizon` (s) every request is served to its end; with one, what is unfinished then is recorded as
    `censored`. `leap=False` plans every step anew; to `walk` is to look at every job in it too, much slower, as a
    reference: the tables are the same.
    With an `audit` the memory of each replica is accounted for by use (`sim.record.Use`). `progress` is called as each
    request ends. A request that can never fit where it is routed is recorded as `rejected` once it is predicted and
    routed, and the others are served; `unservable="fail"` raises `Unservable` for it. Raises
    RuntimeError if a policy leaves jobs behind.
    """
    left = None if progress is None else lambda _: progress()
    run = Simulation(
        requests,
        policy,
        cluster,
        predictor,
        horizon=None if horizon is None else float(horizon),
        record=record,
        leap=bool(leap),
        walk=bool(walk),
        unservable=unservable,
        audit=bool(audit),
        left=left,
    )
    collects = gc.isenabled()
    gc.disable()  # a run leaves no cycles behind, and the collector would walk all requests over and over
    try:
        route, views = policy.routing.route, run.views
        run.begin()
        while (job := run.next_asked()) is not None:
            run.route(job, route(job, views))
        return run.tables()
    finally:
        if collects:
            gc.enable()
