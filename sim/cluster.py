"""The cluster: replicas and the links between them, the life of a request, and the run of a whole trace."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import simpy

from sim.job import Job
from sim.policy import Leg, Policy, Predictor
from sim.record import Recorder, Tables
from sim.replica import Device, Replica, Unservable
from sim.request import Request

__all__ = ["Cluster", "Leg", "Link", "Unservable", "simulate"]


@dataclass(frozen=True, slots=True)
class Link:
    """What KV travels on from one replica to another: seconds of latency, and bytes per second."""

    latency: float
    bytes_per_second: float

    def __post_init__(self) -> None:
        if not (self.latency >= 0 and self.bytes_per_second > 0):
            raise ValueError(f"a link needs latency >= 0 and bytes/s > 0, got {self.latency}, {self.bytes_per_second}")

    def seconds(self, size: float) -> float:
        """Seconds that `size` bytes take."""
        return self.latency + size / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class Cluster:
    """Devices that hold the same model, and the link between any two of them."""

    devices: tuple[Device, ...]
    link: Link | None = None

    def __post_init__(self) -> None:
        names = [device.name for device in self.devices]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a cluster needs devices with distinct names, got {names}")


class _Run:
    """One trace on one cluster under one policy."""

    def __init__(self, cluster: Cluster, policy: Policy, predictor: Predictor, recorder: Recorder) -> None:
        self.env = simpy.Environment(initial_time=0.0)
        self.cluster = cluster
        self.policy = policy
        self.predictor = predictor
        self.recorder = recorder
        self.replicas = [Replica(self.env, device, policy, recorder) for device in cluster.devices]
        self.predictor_worker = simpy.Resource(self.env, capacity=1)

    def arrivals(self, requests: Iterable[Request]) -> Generator[simpy.Event, Any, None]:
        """Start each request's life at its arrival."""
        last = 0.0
        ids: set[int] = set()
        for request in requests:
            if request.id in ids:
                raise ValueError(f"two requests have the id {request.id}")
            ids.add(request.id)
            if request.arrival < last:
                raise ValueError(f"request {request.id} arrives at {request.arrival} s, after one at {last} s")
            last = request.arrival
            if request.arrival > self.env.now:
                yield self.env.timeout(request.arrival - self.env.now)
            self.env.process(self.life(request))

    def life(self, request: Request) -> Generator[simpy.Event, Any, None]:
        """Predict, route, and serve leg by leg."""
        prediction = self.predictor.predict(request)
        job = Job(request, prediction)
        self.recorder.enter(job)
        if prediction.seconds > 0:
            with self.predictor_worker.request() as turn:
                yield turn
                yield self.env.timeout(prediction.seconds)
        legs = self.policy.routing.route(job, tuple(replica.view() for replica in self.replicas))
        for number, leg in enumerate(legs):
            if number:
                yield self.env.timeout(self._transfer_seconds(job, legs[number - 1]))
            yield self.replicas[leg.replica].submit(job, leg.prefill_only)
            if job.complete:
                break
        if legs and not job.complete:
            raise RuntimeError(f"request {request.id} is not complete after its {len(legs)} legs")
        self.recorder.leave(job)

    def _transfer_seconds(self, job: Job, leg: Leg) -> float:
        """Seconds that the job's KV takes to leave the replica of `leg`."""
        if self.cluster.link is None:
            raise ValueError(f"request {job.request.id} has several legs, and the cluster has no link")
        return self.cluster.link.seconds(job.computed * self.cluster.devices[leg.replica].kv_bytes_per_token)


def simulate(
    requests: Iterable[Request],
    policy: Policy,
    cluster: Cluster,
    predictor: Predictor,
    *,
    horizon: float | None = None,
    record_steps: bool = False,
    progress: Callable[[], None] | None = None,
) -> Tables:
    """Replay `requests` (in order of arrival) and return what happened.

    Without a `horizon` (s) every request is served to its end; with one, what is unfinished then is recorded as
    `censored`. `progress` is called as each request ends. Raises `Unservable` for a request that can never fit, and
    RuntimeError if a policy leaves jobs behind.
    """
    recorder = Recorder(record_steps, progress)
    run = _Run(cluster, policy, predictor, recorder)
    run.env.process(run.arrivals(requests))
    run.env.run(until=horizon)
    if horizon is None and recorder.unfinished:
        raise RuntimeError(f"{len(recorder.unfinished)} jobs were never served, first {recorder.unfinished[0]}")
    return recorder.tables()
