"""The run of a trace: what becomes of a request from its arrival until it leaves."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import simpy

from sim.cluster import Cluster
from sim.device import Unservable
from sim.engine.audit import AuditedReplica, audited
from sim.engine.channel import Channel, channel
from sim.engine.clock import Clock
from sim.engine.ranks import Rank
from sim.engine.recorder import Recorder
from sim.engine.replica import Replica
from sim.engine.sessions import Sessions
from sim.engine.view import View
from sim.job import Job
from sim.policy import Batching, Eviction, Leg, Order, Policy, Predictor
from sim.record import Record, Tables
from sim.request import Request

INFINITY = math.inf


def _in_order(requests: Iterable[Request]) -> Iterator[Request]:
    """`requests`, each looked at as it comes: ValueError for an id that came before, or an arrival out of order."""
    last = 0.0
    ids: set[int] = set()
    for request in requests:
        if request.id in ids:
            raise ValueError(f"two requests have the id {request.id}")
        ids.add(request.id)
        if request.arrival < last:
            raise ValueError(f"request {request.id} arrives at {request.arrival} s, after one at {last} s")
        last = request.arrival
        yield request


class Simulation:
    """One trace on one cluster under one policy."""

    def __init__(
        self,
        requests: Iterable[Request],
        cluster: Cluster,
        policy: Policy,
        predictor: Predictor,
        recorder: Recorder,
        leap: bool,
        rejects: bool,
        replica: Callable[..., Replica],
    ) -> None:
        self.clock = Clock(initial_time=0.0)
        self.requests = _in_order(requests)
        self.next_request = next(self.requests, None)
        self.cluster = cluster
        self.policy = policy
        self.predictor = predictor
        self.recorder = recorder
        self.rejects = rejects  # a request that can never be served; otherwise it ends the run
        self.replicas = [
            replica(self.clock, number, device, policy, recorder, self.leg_over, leap)
            for number, device in enumerate(cluster.devices)
        ]
        self.views = tuple(View(replica) for replica in self.replicas)
        self.predictor_free = 0.0  # when the one predictor will have worked off its queue, s
        self.legs: dict[Job, list[Leg]] = {}  # legs still to come, of jobs that were given several
        self.channels: dict[tuple[int, int], Channel] = {}
        self.sessions = Sessions()

    def arrive(self, event: simpy.Event | None = None) -> None:
        """Let the requests of this instant enter, and come back at the next arrival."""
        now = self.clock.now
        request = self.next_request
        while request is not None and request.arrival <= now:
            if request.think is None:
                self.enter(request)
            else:
                self.follow(self.sessions.come(request))
            request = next(self.requests, None)
        self.next_request = request
        if request is not None:
            self.clock.at(request.arrival, self.arrive)

    def follow(self, request: Request | None) -> None:
        """Let `request` of a closed loop, if it is one's turn, enter at its arrival, now or later."""
        if request is not None:
            self.clock.at(request.arrival, lambda _: self.enter(request))

    def enter(self, request: Request) -> None:
        """Predict, which takes the one predictor its time, then route."""
        length, uncertainty, seconds, _, pauses = prediction = self.predictor.predict(request)
        if not (0 <= length < INFINITY and 0 <= uncertainty < INFINITY and 0 <= seconds < INFINITY):
            raise ValueError(f"request {request.id}: a prediction must be finite and not negative, got {prediction}")
        if pauses and not all(0 <= part < INFINITY for pause in pauses for part in pause):
            raise ValueError(f"request {request.id}: predicted pauses must be finite and not negative, got {pauses}")
        job = Job(request, prediction, self.predictor)
        self.recorder.enter(job)
        if seconds > 0:
            self.predictor_free = max(self.clock.now, self.predictor_free) + seconds
            self.clock.at(self.predictor_free, lambda _: self.route(job))
        else:
            self.route(job)

    def route(self, job: Job) -> None:
        """Choose the legs of the job's life and begin the first; rejected without any, or if one can never fit."""
        legs = self.policy.routing.route(job, self.views)
        if not legs or not self.servable(job.request, legs):
            self.leave(job)
            return
        if len(legs) > 1:
            self.legs[job] = list(legs[1:])
        self.replicas[legs[0].replica].submit(job, legs[0].prefill_only)

    def servable(self, request: Request, legs: Sequence[Leg]) -> bool:
        """Whether each of `legs` that will be begun fits its device: so nobody is turned away when half is done.

        Raises `Unservable` if one does not and the run is to fail.
        """
        try:
            for number, (replica, prefill_only) in enumerate(legs[: request.truth.output_tokens], 1):
                self.replicas[replica].check_servable(request, number if prefill_only else None)
        except Unservable as error:
            if not self.rejects:
                raise
            self.recorder.rejection = self.recorder.rejection or str(error)
            return False
        return True

    def leave(self, job: Job) -> None:
        """A life is over; in a closed loop, the next request of its session may come."""
        self.recorder.leave(job)
        if job.request.think is not None:
            self.follow(self.sessions.end(job.request, self.clock.now))

    def leg_over(self, job: Job) -> None:
        """The next leg begins, when the job's KV has come over the link; of one that is complete, the life is over."""
        if job.finished is not None:
            self.leave(job)
            return
        if not self.legs.get(job):
            raise RuntimeError(f"request {job.request.id} is not complete after its last leg")
        leg, *self.legs[job] = self.legs[job]
        self.send(job, leg)

    def send(self, job: Job, leg: Leg) -> None:
        """Send the job's KV from where it is, where it stays until it has come, to `leg`, which begins then."""
        link, source = self.cluster.link, self.replicas[job.replica]
        if link is None:
            raise ValueError(f"request {job.request.id} has several legs, and the cluster has no link")

        def come(_: float) -> None:
            source.release(job)
            self.replicas[leg.replica].submit(job, leg.prefill_only)

        size = job.computed * source.device.kv_bytes_per_token
        if job.replica == leg.replica or link.seconds(size) == 0:
            source.let_go(job)  # at once: whoever is admitted now finds its room
        ends = job.replica, leg.replica
        if ends not in self.channels:
            self.channels[ends] = channel(link, self.appoint)
        self.channels[ends].send(size, self.clock.now, come)

    def appoint(self, instant: float, call: Callable[[float], None]) -> None:
        """Let `call` be called at `instant` (s)."""
        self.clock.at(instant, lambda _: call(instant))


def simulate(
    requests: Iterable[Request],
    policy: Policy,
    cluster: Cluster,
    predictor: Predictor,
    *,
    horizon: float | None = None,
    record: Record = Record.REQUESTS,
    leap: bool = True,
    unservable: str = "reject",
    audit: bool = False,
    progress: Callable[[], None] | None = None,
) -> Tables:
    """Replay `requests` (in order of arrival) and return what happened.

    Without a `horizon` (s) every request is served to its end; with one, what is unfinished then is recorded as
    `censored`. `leap=False` plans every step anew and walks every job in it: much slower, and the same tables.
    With an `audit` the memory of each replica is accounted for by use (`sim.record.Use`). `progress` is called as each
    request ends. A request that can never fit where it is routed is recorded as `rejected` once it is predicted and
    routed, and the others are served; `unservable="fail"` raises `Unservable` for it. Raises
    RuntimeError if a policy leaves jobs behind.
    """
    if not isinstance(policy.order, Order):
        raise TypeError(f"an order must be a sim.policy.Order, {type(policy.order).__name__} is none")
    for batching in (policy.batching, *(device.batching for device in cluster.devices if device.batching)):
        if not isinstance(batching, Batching):
            raise TypeError(f"a batching must be a sim.policy.Batching, {type(batching).__name__} is none")
    if not isinstance(policy.eviction, Eviction):
        raise TypeError(f"an eviction must be a sim.policy.Eviction, {type(policy.eviction).__name__} is none")
    if not isinstance(predictor, Predictor):
        raise TypeError(f"a predictor must be a sim.policy.Predictor, {type(predictor).__name__} is none")
    if unservable not in ("reject", "fail"):
        raise ValueError(f"unservable must be reject or fail, got {unservable!r}")
    recorder = Recorder(record, cluster.devices, progress)
    kind: Callable[..., Replica] = AuditedReplica if audit else Replica
    if cluster.steps_together:
        if audit:
            raise ValueError("the memory of a cluster that steps_together is not audited")
        kind = partial(Rank, [])
    run = Simulation(requests, cluster, policy, predictor, recorder, leap, unservable == "reject", kind)
    collects = gc.isenabled()
    gc.disable()  # a run leaves no cycles behind, and the collector would walk all requests over and over
    try:
        run.arrive()
        run.clock.run(until=horizon)
        for replica in run.replicas:
            replica.settle(INFINITY if horizon is None else horizon)
    finally:
        if collects:
            gc.enable()
    if horizon is None and recorder.unfinished:
        raise RuntimeError(f"{len(recorder.unfinished)} jobs were never served, first {recorder.unfinished[0]}")
    tables = recorder.tables(sum(replica.iterations for replica in run.replicas))
    if not audit:
        return tables
    return replace(tables, audit=audited([one for one in run.replicas if isinstance(one, AuditedReplica)], horizon))
