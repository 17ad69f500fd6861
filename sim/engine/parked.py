"""The KV of jobs that do not run: it is resident, on the host, under way between them, or not there at all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain, filterfalse
from typing import Any

from sim.engine.agenda import Agenda
from sim.engine.batch import Batch
from sim.engine.host import Host, OverlappedHost
from sim.engine.plan import Plan
from sim.engine.present import Present, Unrolled
from sim.engine.queue import WaitingQueue, before
from sim.engine.sums import Sums
from sim.engine.words import DROP, KEEP, PAUSE, PRESSURE, SWAP
from sim.foregone import foregone
from sim.job import Job
from sim.policy import Cause, Eviction, Keep, Review

FRUITLESS = 100_000  # moves of KV between two tokens: more than jobs are at a time, by far


class Parked:
    """What the `eviction` says of it. `idle` are jobs that wait, or call out, with their KV on the device."""

    def __init__(self, eviction: Eviction, waiting: WaitingQueue, batch: Batch, host: Host, agenda: Agenda) -> None:
        self.eviction = eviction
        self.waiting = waiting
        self.batch = batch
        self.host = host
        self.agenda = agenda
        self.idle: dict[Job, None] = {}
        self.calling: dict[Job, None] = {}  # those that call out, in the order in which they began
        self.reviews = type(eviction).review is not Eviction.review
        self._by_cause = foregone(eviction)
        self.foresees = type(eviction).foresee is not Eviction.foresee
        # whether it changes without anybody coming
        self.attends = self.reviews or self.foresees or isinstance(host, OverlappedHost)
        self.lasts = math.inf  # steps for which what was decided of KV stands
        self._reviewed: tuple[float, tuple[int, ...]] = (0, ())  # until which step a review stands, and for whom
        self._over: list[tuple[Job, float]] = []  # those whose calls are over, and since when, s
        self.new: list[Job] = []  # those of whom nothing is foreseen yet
        self._sums = Sums(waiting, batch, host)
        self._fruitless = 0, 0  # prefills that were over when KV was moved, and how often it was since

    @property
    def rests(self) -> bool:
        """Whether, as long as nobody waits, there is nothing to attend to but appointments."""
        if self.batch.called or (self.reviews and (self.idle or self.host.jobs)):
            return False
        self.lasts = math.inf
        return True

    def attend(self, plan: Plan) -> None:
        """What has happened before `plan` starts, and the eviction's review."""
        self.lasts = math.inf
        if self.batch.called:
            self.call_out(plan)
        self.arrive(plan.decided)
        for job in self.new:
            self._foresee(job, plan.decided)
            self.rank_anew(job, plan.decided)
        self.new.clear()
        if self.reviews:
            self._review(plan)

    def arrive(self, now: float) -> None:
        """Those whose copies or calls have ended by `now` (s) wait, if both have."""
        if now < self.agenda.head:
            return
        self.agenda.keep(now)
        for job in self.host.arrived:
            if job.blocks:
                self.idle[job] = None
            if job.paused is None:
                self.waiting.push(job, now)
        self.host.arrived.clear()
        for job, since in self._over:
            self.waiting.note(job, now)
            del self.calling[job]
            job.resume(since)
            self._foresee(job, now)
            if job not in self.host.moving:
                self.waiting.push(job, now)
        self._over.clear()

    # Calls

    def call_out(self, plan: Plan) -> None:
        """Those whose last token before a call has come run no more, and call."""
        for job in self.batch.called:
            now, runs = plan.decided, job.runs
            if runs:
                self.waiting.note(job, now)
                del self.batch.running[job]
                job.admission = 0
            elif job not in self.host.moving and job not in self.host.arrived:
                self.waiting.withdraw(job, now)  # it had to stop while that token was on its way
            self.call(job, now)
            if runs and job.blocks:
                self.stop(plan, job, PAUSE)
        self.batch.called.clear()

    def call(self, job: Job, now: float) -> None:
        """`job`, which neither runs nor waits, calls from `now` (s) on."""
        self.calling[job] = None
        self.agenda.at(now + job.call(now), lambda over: self._over.append((job, over)))

    def _foresee(self, job: Job, now: float) -> None:
        """Ask what is to become of the KV of `job` at its next call; RuntimeError if it is no `Keep`."""
        if self.foresees:
            keep = self.eviction.foresee(job, self._sums.load(), now)
            if not (keep is None or isinstance(keep, Keep)):
                raise RuntimeError(
                    f"{type(self.eviction).__name__}.foresee says {keep!r} of {job} at {now} s: no sim.Keep"
                )
            job.foreseen = keep

    # Jobs that stop

    def stop(self, plan: Plan, job: Job, cause: Cause) -> None:
        """`job` runs no more: its KV stays, is dropped or goes to the host."""
        keep = self._asked(job, cause, plan.decided, job)
        if keep is KEEP:
            self._check_progress(job, plan.decided)
            self.batch.kv.forget(job, job.base_computed)
            self.idle[job] = None
        else:
            self._clear(plan, job, keep)

    def evict(self, plan: Plan, job: Job) -> None:
        """Take the blocks of `job`, which waits, or calls out, with its KV on the device."""
        del self.idle[job]
        self._clear(plan, job, self._asked(job, PRESSURE, plan.decided))
        if job in self.host.moving and job.paused is None:
            self.waiting.withdraw(job, plan.decided)

    def recall(self, job: Job, now: float) -> None:
        """`job`, which has stopped, is through: its last token was on its way when it had to."""
        if not self.host.abandon(job):
            self.waiting.withdraw(job, now)
            self.idle.pop(job, None)
        self.batch.kv.release(job)
        job.base_computed = 0
        if job in self.host.jobs:
            self.host.drop(job)

    def rank_anew(self, job: Job, now: float) -> None:
        """`job`, which has stopped, has one token more than when it was ranked: it was on its way."""
        if job not in self.host.moving and job not in self.host.arrived:
            self.waiting.withdraw(job, now)
            self.waiting.push(job, now)

    def worst(self, jobs: Iterable[Job], now: float) -> Job:
        """The one of `jobs` that memory pressure takes first: the last in rank, then arrival, then id."""
        worst: Job = max(self.waiting.keys(jobs, now))[3]
        return worst

    def giver(self, job: Job, givers: Iterable[Job], short: int, now: float) -> Job | None:
        """The worst of `givers`, if `job`, which is `short` of blocks, ranks before so many that theirs are enough.

        Where nobody runs it need not rank before them.
        """
        lacks, running = short - self.host.leaving, self.batch.running
        own = self.waiting.entry(job, now)
        others = self.waiting.keys([one for one in givers if one is not job] if job in self.idle else givers, now)
        if lacks <= 0:
            return None
        for one in others:
            if not running or before(own, one):
                lacks -= one[3].blocks
                if lacks <= 0:
                    giver: Job = max(others)[3]
                    return giver
        return None

    def _check_progress(self, job: Job, now: float) -> None:
        """RuntimeError if jobs have long done nothing but take each other's place: they would go on for ever."""
        ended, moves = self._fruitless
        fruitless = ended == self.batch.prefills and not self.batch.lockstep.rows
        self._fruitless = self.batch.prefills, moves + 1 if fruitless else 1
        if fruitless and moves >= FRUITLESS:
            parts = f"{type(self.waiting.order).__name__} and {type(self.eviction).__name__}"
            raise RuntimeError(f"KV moved {moves} times in a row and no prefill ended, by {parts}: {job} at {now} s")

    def _asked(self, job: Job, cause: Cause, now: float, gone: Job | None = None) -> Keep:
        """What is to become of the KV of `job`; RuntimeError if it is no `Keep`, or to stay where memory is short."""
        by_cause = self._by_cause
        keep = self.eviction.on_stop(job, cause, self._sums.load(gone), now) if by_cause is None else by_cause.of(cause)
        if not isinstance(keep, Keep):
            raise RuntimeError(f"{type(self.eviction).__name__}.on_stop says {keep!r} of {job} at {now} s: no sim.Keep")
        if keep is KEEP and cause is PRESSURE:
            raise RuntimeError(f"{type(self.eviction).__name__}.on_stop keeps {job} at {now} s under pressure")
        return keep

    def _clear(self, plan: Plan, job: Job, keep: Keep) -> None:
        """Take the blocks of `job`, whose KV is dropped or, if there is any, goes to the host."""
        self._check_progress(job, plan.decided)
        if keep is SWAP and job.base_computed:
            self.host.out(plan, job)
        else:
            self.batch.kv.release(job)
            job.dropped_tokens += job.base_computed
            job.base_computed = 0

    def _review(self, plan: Plan) -> None:
        """Let the eviction move the KV of jobs that wait or call out."""
        idle, hosted, moving = self.idle, self.host.jobs, self.host.moving
        if not idle and len(hosted) == len(moving):
            return
        begun, (until, state) = self.waiting.steps, self._reviewed
        if begun < until and state == self._state():
            self.lasts = until - begun
            return
        jobs, resting = Present(self._present), Unrolled(self._resting)
        eviction: Any = self.eviction  # what it says is looked at before it is believed
        review: Any = eviction.review(resting, jobs, self._sums.load(), plan.decided)
        if not _is(review, Review):
            raise RuntimeError(f"{type(eviction).__name__}.review says {review!r} at {plan.decided} s: no sim.Review")
        moves = tuple(review.moves)  # which may be made as they are asked for, of jobs that are as they were
        resting.close()
        jobs.close()
        self.lasts = review.steps
        if not self.lasts >= 1:
            where = f"{type(eviction).__name__}.review at {plan.decided} s"
            raise RuntimeError(f"{where} is to stand for {review.steps} steps, at least one")
        if moves:
            self._obey(plan, moves)
        self._reviewed = begun + self.lasts, self._state()

    def _obey(self, plan: Plan, moves: tuple[Any, ...]) -> None:
        """Make the `moves` of a review; RuntimeError if one is not of a job that it was shown, or comes twice."""
        idle, hosted, moving = self.idle, self.host.jobs, self.host.moving
        where, at, moved = f"{type(self.eviction).__name__}.review", plan.decided, set[Job]()
        for job, keep in moves:
            if job in moved or not (job in idle or (job in hosted and job not in moving)):
                raise RuntimeError(f"{where} names {job} at {at} s, which it was not shown, or twice")
            if not isinstance(keep, Keep):
                raise RuntimeError(f"{where} says {keep!r} of {job} at {at} s: no sim.Keep")
            moved.add(job)
            self._move(plan, job, keep)

    def _resting(self) -> Iterable[Job]:
        """Those whose KV an `Eviction.review` may move, one by one: compiled, a generator would run through at once."""
        return chain(self.idle, filterfalse(self.host.moving.__contains__, self.host.jobs))

    def _present(self) -> tuple[Job, ...]:
        """All that are here, as `Eviction.review` has them."""
        waiting = [entry[3] for entry in sorted(self.waiting.entries())]
        calling = [job for job in self.calling if job not in self.host.moving]
        return *self.batch.running, *waiting, *self.host.moving, *calling

    def _state(self) -> tuple[int, ...]:
        """What differs when a job comes or leaves, calls or returns, or when KV has moved."""
        batch, host = self.batch, self.host
        here = len(batch.running), len(self.waiting), len(self.calling)
        return batch.admissions, *here, len(self.idle), len(host.jobs), len(host.moving)

    def _move(self, plan: Plan, job: Job, keep: Keep) -> None:
        """Bring the KV of `job` to where it is to be, unless it is there."""
        kv, host = self.batch.kv, self.host
        if job in self.idle:
            if keep is not KEEP:
                del self.idle[job]
                self._clear(plan, job, keep)
        elif keep is DROP:
            job.dropped_tokens += job.host_tokens
            host.drop(job)
        elif keep is KEEP:
            if (missing := kv.missing(job, job.host_tokens)) > kv.free:
                where = f"{type(self.eviction).__name__}.review brings back {job} at {plan.decided} s"
                raise RuntimeError(f"{where}, which needs {missing} blocks, and {kv.free} are free")
            kv.allocate(job, job.host_tokens)
            if host.back(plan, job):
                self.idle[job] = None
        if job in host.moving and job.paused is None:
            self.waiting.withdraw(job, plan.decided)


def _is(value: object, kind: type) -> bool:
    """Whether `value` is of that kind. Where the question stands by itself, mypyc would believe the answer."""
    return isinstance(value, kind)
