"""The run of a trace: what becomes of a request from its arrival until it leaves."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import simpy
from simpy.core import EmptySchedule, StopSimulation

from sim.checks import check_parts, in_order
from sim.cluster import Cluster
from sim.device import Unservable
from sim.engine.audit import AuditedReplica, audited
from sim.engine.channel import Channel, channel
from sim.engine.clock import Clock
from sim.engine.legs import plain
from sim.engine.ranks import Rank
from sim.engine.recorder import Recorder
from sim.engine.replica import Replica
from sim.engine.sessions import Sessions
from sim.engine.tally import Tally
from sim.job import Job
from sim.policy import Leg, Policy, Predictor, ReplicaView
from sim.prediction import Prediction
from sim.record import Record, Tables
from sim.request import Request

INFINITY: Final = math.inf


class Question(NamedTuple):
    """Where shall `job` go, now that the `replicas` are as they are? The answer is what `sim.policy.Routing` gives."""

    job: Job
    replicas: tuple[ReplicaView, ...]


Questions = Generator[Question, Sequence[Leg], Tables]


class Simulation:
    """One trace on one cluster, whose `questions` anybody may answer; what its arguments say, `simulate` tells.

    `policy.routing` is not asked. `left` is called with each job that has left: it finished, or was rejected. It is
    known who has left by now, and what a replica has done, once its view was asked.
    """

    def __init__(
        self,
        requests: Iterable[Request],
        policy: Policy,
        cluster: Cluster,
        predictor: Predictor,
        *,
        horizon: float | None = None,
        record: Record = Record.REQUESTS,
        leap: bool = True,
        walk: bool = False,
        unservable: Any = "reject",
        audit: bool = False,
        left: Callable[[Job], object] | None = None,
    ) -> None:
        check_parts(policy, cluster, predictor, unservable, audit)
        if horizon is not None and not horizon > 0:
            raise ValueError(f"horizon must be after the start, at 0 s, got {horizon}")
        self.clock = Clock(initial_time=0.0)
        self.requests = in_order(requests)
        self.next_request = next(self.requests, None)
        self.coming: Request | None = None  # the same, unless there is an event for its arrival
        self.turn = 0  # of that event, were there one
        self.cluster, self.predictor = cluster, predictor
        self.horizon = math.inf if horizon is None else horizon
        self.begun = False
        self.rejects = unservable == "reject"  # a request that can never be served; otherwise it ends the run
        self.recorder = Recorder(record, cluster.devices, left)
        kind: Callable[..., Replica] = AuditedReplica if audit else Replica
        if cluster.steps_together:
            kind = partial(Rank, [])
        self.replicas = [
            kind(self.clock, number, device, policy, self.recorder, self.leg_over, leap, walk)
            for number, device in enumerate(cluster.devices)
        ]
        self.tally = Tally(self.replicas, cluster.steps_together)
        self.views = self.tally.views()
        self.predictor_free = 0.0  # when the one predictor will have worked off its queue, s
        self.router_free = 0.0  # when the one router will have, s
        self.route_seconds = policy.overhead.route_seconds
        self.asked: deque[Job] = deque()  # jobs of which it is not said where they go
        self.ask = self.come_to_router if self.route_seconds else self.asked.append
        self.legs: dict[Job, list[Leg]] = {}  # legs still to come, of jobs that were given several
        self.channels: dict[tuple[int, int], Channel] = {}
        self.sessions = Sessions()

    def questions(self) -> Questions:
        """Go through the run: where each job shall go is yielded as a `Question` at the instant at which it is asked.

        The legs are sent in return (`send`); the Tables are what the generator returns in the end. RuntimeError if it
        was gone through before.
        """
        self.begin()
        while (job := self.next_asked()) is not None:
            self.route(job, (yield Question(job, self.views)))
        return self.tables()

    def begin(self) -> None:
        """Time begins. RuntimeError if it did before."""
        if self.begun:
            raise RuntimeError("a simulation is gone through once: make another")
        self.begun = True
        if self.horizon < math.inf:
            self.clock.end(self.horizon)
        self.arrive()

    def next_asked(self) -> Job | None:
        """Go on until it is asked where a job shall go; None at the end. The answer is given to `route`."""
        asked, clock = self.asked, self.clock
        try:
            while not asked:
                request = self.coming
                if request is None:
                    clock.step()
                elif clock.reach(request.arrival):  # nobody else is due: it takes no event to come here
                    self.arrive()
                else:
                    self.coming = None
                    clock.later(request.arrival, self.arrive, self.turn)
        except (EmptySchedule, StopSimulation):
            return None
        return asked.popleft()

    def tables(self) -> Tables:
        """What happened until the horizon. RuntimeError if there is none, and somebody was left behind."""
        for replica in self.replicas:
            replica.settle(self.horizon)
        if self.horizon == math.inf and self.recorder.unfinished:
            unfinished = self.recorder.unfinished
            raise RuntimeError(f"{len(unfinished)} jobs were never served, first {unfinished[0]}")
        tables = self.recorder.tables(sum(replica.iterations for replica in self.replicas), self.horizon)
        accounts = [one for one in self.replicas if isinstance(one, AuditedReplica)]
        if not accounts:
            return tables
        return replace(tables, audit=audited(accounts, None if self.horizon == math.inf else self.horizon))

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
        self.next_request = self.coming = request
        if request is not None:
            self.turn = self.clock.turn()

    def follow(self, request: Request | None) -> None:
        """Let `request` of a closed loop, if it is one's turn, enter at its arrival, now or later."""
        if request is not None:
            self.clock.at(request.arrival, lambda _: self.enter(request))

    def enter(self, request: Request) -> None:
        """Predict, which takes the one predictor its time, then ask where the job shall go."""
        prediction = self.predicted(request)
        job = Job(request, prediction, self.predictor)
        self.recorder.enter(job)
        if prediction.seconds > 0:
            self.predictor_free = max(self.clock.now, self.predictor_free) + prediction.seconds
            self.clock.at(self.predictor_free, lambda _: self.ask(job))
        else:
            self.ask(job)

    def predicted(self, request: Request) -> Prediction:
        """What is predicted of `request`; ValueError for what cannot be."""
        prediction: Any = self.predictor.predict(request)
        length, uncertainty, seconds, _, pauses = prediction
        if (
            type(length) is float and type(uncertainty) is float and type(seconds) is float and not pauses
            and 0.0 <= length < INFINITY and 0.0 <= uncertainty < INFINITY and 0.0 <= seconds < INFINITY
        ):  # fmt: skip
            return prediction  # type: ignore[no-any-return]
        if not (0 <= length < INFINITY and 0 <= uncertainty < INFINITY and 0 <= seconds < INFINITY):
            raise ValueError(f"request {request.id}: a prediction must be finite and not negative, got {prediction}")
        if pauses and not all(0 <= part < INFINITY for pause in pauses for part in pause):
            raise ValueError(f"request {request.id}: predicted pauses must be finite and not negative, got {pauses}")
        if type(length) is not float or type(uncertainty) is not float or type(seconds) is not float:
            prediction = Prediction(float(length), float(uncertainty), float(seconds), *prediction[3:])
        return prediction  # type: ignore[no-any-return]

    def come_to_router(self, job: Job) -> None:
        """Ask where `job` shall go when the one router has had its time for it."""
        came = self.clock.now
        self.router_free = max(came, self.router_free) + self.route_seconds

        def ask(_: simpy.Event) -> None:
            job.routing_seconds = self.clock.now - came
            self.asked.append(job)

        self.clock.at(self.router_free, ask)

    def route(self, job: Job, legs: Sequence[Any]) -> None:
        """Begin the first of the `legs` of the job's life; rejected without any, or if one can never fit."""
        if not legs:
            if legs is None:
                raise TypeError(f"request {job.request.id}: an answer is a sequence of legs, got None (send it)")
            self.leave(job)
            return
        legs = plain(legs)
        if len(legs) > 1 or job.request.truth.lengths is not None:
            self.answer(job, legs)
        if not self.servable(job.request, legs):
            self.leave(job)
            return
        if len(legs) > 1:
            self.legs[job] = list(legs[1:])
        self.submit(job, legs[0])

    def submit(self, job: Job, leg: Leg) -> None:
        """Let `leg` of the job's life begin."""
        self.replicas[leg.replica].submit(job, leg.prefill_only)
        self.tally.came(leg.replica, job)

    def answer(self, job: Job, legs: Sequence[Leg]) -> None:
        """One model answers `job`, in all its `legs`: the length of its answer and what is predicted are of that."""
        if not all(0 <= leg.replica < len(self.replicas) for leg in legs):
            raise self.astray(job.request, legs)
        models = list(dict.fromkeys(self.cluster.devices[leg.replica].model for leg in legs))
        if len(models) > 1:
            raise ValueError(
                f"request {job.request.id} is sent to {' and then to '.join(models)}: one answer, one model"
            )
        if job.request.truth.lengths is not None:
            request = job.request.answered_by(models[0])
            job.answered(request, self.predicted(request)._replace(seconds=job.prediction.seconds))

    def astray(self, request: Request, legs: Sequence[Leg]) -> IndexError:
        """That `request` is sent to a replica that is none."""
        numbers = ", ".join(str(leg.replica) for leg in legs)
        return IndexError(f"request {request.id} is sent to replica {numbers}: there are 0 to {len(self.replicas) - 1}")

    def servable(self, request: Request, legs: Sequence[Leg]) -> bool:
        """Whether each of `legs` that will be begun fits its device: so nobody is turned away when half is done.

        Raises `Unservable` if one does not and the run is to fail.
        """
        begun = legs if len(legs) == 1 else legs[: request.truth.output_tokens]
        try:
            for number, (replica, prefill_only) in enumerate(begun, 1):
                if not 0 <= replica < len(self.replicas):
                    raise self.astray(request, legs)
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
        self.tally.left(job.replica)
        if job.finished is not None:
            self.leave(job)
            return
        if not self.legs.get(job):
            raise RuntimeError(f"request {job.request.id} is not complete after its last leg")
        leg, *self.legs[job] = self.legs[job]
        self.send(job, leg)

    def send(self, job: Job, leg: Leg) -> None:
        """Send the job's KV from where it is, where it stays until it has come, to `leg`, which begins then."""
        link, source, ends = self.cluster.link, self.replicas[job.replica], (job.replica, leg.replica)
        if link is None:
            raise ValueError(f"request {job.request.id} has several legs, and the cluster has no link")

        def come(_: float) -> None:
            source.release(job)
            self.tally.stirred(source.number)
            self.submit(job, leg)
            self.recorder.came(job, self.clock.now)

        self.recorder.sent(job, self.clock.now)
        size = job.computed * source.device.kv_bytes_per_token
        if job.replica == leg.replica or link.seconds(size) == 0:
            source.let_go(job)  # at once: whoever is admitted now finds its room
        if ends not in self.channels:
            self.channels[ends] = channel(link, self.clock.appoint)
        self.channels[ends].send(size, self.clock.now, come)
