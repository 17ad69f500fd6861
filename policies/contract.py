"""A check that anyone can run on a policy of their own: does it keep the rules that the engine relies on?"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from typing import Any, NoReturn

from policies.guarded_truth import ContractError, GuardedTruth, refuse_readers
from sim import Eviction
from sim.cluster import Cluster
from sim.execution import Execution
from sim.job import Job
from sim.policy import ALWAYS, Batching, FixedOrder, NotingOrder, Order, Policy, Predictor, Rank, Running, Short, Stands
from sim.prediction import Distribution, Prediction
from sim.record import Record, Tables
from sim.replay import simulate
from sim.request import Request
from sim.step import Hold

FIELDS: tuple[str, ...] = getattr(Job, "__mypyc_attrs__", None) or Job.__slots__  # the first where it is compiled
__all__ = ["ContractError", "GuardedTruth", "check_order", "check_policy"]


def _broken(part: object, method: str, how: str) -> NoReturn:
    raise ContractError(f"{type(part).__name__}.{method} {how}")


def _state(jobs: Iterable[Job]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(job, name) for name in FIELDS) for job in jobs]


def _pure(part: object, method: str, jobs: Sequence[Job], *asked: Any) -> Any:
    """What `method` of `part` answers, which may look at `jobs`; `now` (s) is last, but for the steps of a note."""
    before, now, ask = _state(jobs), asked[-2 if method == "note" else -1], getattr(part, method)
    answer, told = ask(*asked), ", ".join(map(str, jobs))
    if method in MALFORMED and (wrong := MALFORMED[method](answer, now)):
        _broken(part, method, f"gives {answer!r} for {told} at {now} s{wrong}")
    if ask(*asked) != answer:
        _broken(part, method, f"is not pure: it answers otherwise when asked twice of {told} at {now} s")
    if _state(jobs) != before:
        _broken(part, method, f"changes {told}")
    return answer


def _malformed_rank(rank: Any, now: float) -> str | None:
    parts = rank if isinstance(rank, tuple) else (rank,)
    right = all(isinstance(part, Real) and not math.isnan(part) for part in parts)
    return None if right else ", which is no number, nor a tuple of them"


def _malformed_stands(stands: Any, now: float) -> str | None:
    if not isinstance(stands, Stands):
        return ", which is no sim.Stands"
    later = stands.instant > now and stands.tokens >= 1 and stands.steps >= 1
    return None if later else ": each must be later than now"


LATER = (1.0, 60.0, 3600.0)  # s after which a rank that always stands is asked for once more
MALFORMED = {"rank": _malformed_rank, "stands": _malformed_stands}


@dataclasses.dataclass(frozen=True, slots=True)
class _Promise:
    """That the rank of a job stands, as it was at `now` (s)."""

    rank: Rank
    now: float
    stands: Stands
    runs: bool
    emitted: int
    by: str  # what says so
    stops: tuple[object, ...]  # how often it stopped and called, since when it calls, what is foreseen of its next

    def is_over(self, job: Job, now: float) -> bool:
        """Whether it says nothing of `job` any longer."""
        return (
            now >= self.stands.instant
            or (job.runs, _stops(job)) != (self.runs, self.stops)
            or job.finished is not None
            or (job.emitted - self.emitted >= self.stands.tokens if job.runs else job.emitted != self.emitted)
        )


def _stops(job: Job) -> tuple[object, ...]:
    return job.preemptions, job.calls, job.paused, job.foreseen


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedOrder(Order):
    order: Order
    promises: dict[Job, _Promise] = dataclasses.field(default_factory=dict)

    def rank(self, job: Job, now: float) -> Rank:
        rank: Rank = _pure(self.order, "rank", (job,), job, now)
        for other in [*self.promises]:
            self._keep(other, now)
        if self.order.fixed and not job.runs:
            self._promise(job, now, ALWAYS, "fixed")
        return rank

    def stands(self, job: Job, now: float) -> Stands:
        stands: Stands = _pure(self.order, "stands", (job,), job, now)
        self._promise(job, now, stands)
        return stands

    def note(self, job: Job, now: float, steps: int) -> object:
        return _pure(self.order, "note", (job,), job, now, steps)

    def _promise(self, job: Job, now: float, stands: Stands, by: str = "stands") -> None:
        """See to it that the rank of `job` stands, as far as that is said in seconds and tokens."""
        self.promises.pop(job, None)
        if stands.steps == math.inf:
            rank = self.order.rank(job, now)
            self.promises[job] = _Promise(rank, now, stands, job.runs, job.emitted, by, _stops(job))
            for later in LATER if stands.instant == math.inf else [min(1.0, (stands.instant - now) / 2)]:
                self._keep(job, now + later)

    def _keep(self, job: Job, now: float) -> None:
        """Refuse a rank that moved though it was to stand; for a job that runs, one that grew."""
        promise = self.promises[job]
        if promise.is_over(job, now):
            del self.promises[job]
            return
        rank = self.order.rank(job, now)
        if rank != promise.rank and not (promise.runs and rank < promise.rank):  # type: ignore[operator]
            until = f"until {promise.stands.instant} s or {promise.stands.tokens} tokens"
            _broken(
                self.order,
                promise.by,
                f"says at {promise.now} s that {job} keeps the rank {promise.rank} {until}: at {now} s it has {rank}",
            )


class _CheckedFixed(_CheckedOrder, FixedOrder):
    __slots__ = ()


class _CheckedNoting(_CheckedOrder, NotingOrder):
    __slots__ = ()


def _checked(order: Order) -> Order:
    noting = _CheckedNoting if isinstance(order, NotingOrder) else _CheckedOrder
    fixed: object = order.fixed
    if not isinstance(fixed, bool):
        _broken(order, "fixed", f"must be True or False, got {fixed!r}")
    kind = _CheckedFixed if fixed else noting
    named: Order = type(type(order).__name__, (kind,), {"__slots__": ()})(order)  # the engine tells of it by its name
    return named


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedBatching(Batching):
    batching: Batching
    execution: Execution

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        copy = (*waiting,)
        holders, states = sys.getrefcount(copy), _state((*waiting, *running))
        chosen = self.batching.select(copy, running, now)
        if isinstance(chosen, Hold):
            if not chosen.until > now:
                _broken(self.batching, "select", f"holds at {now} s until {chosen.until} s")
            result: Sequence[Job] | Hold = chosen
        else:
            result = list(chosen)
            if len(set(result)) != len(result) or not set(result) <= set(waiting):
                _broken(self.batching, "select", f"gives a job twice, or one that it was not shown: {result}")
        del chosen
        if sys.getrefcount(copy) != holders:
            _broken(self.batching, "select", "keeps a tuple that it was handed")
        if _state((*waiting, *running)) != states:
            _broken(self.batching, "select", "changes a job")
        return result

    def select_stands(self, waiting: tuple[Job, ...], now: float) -> float:
        return self.batching.select_stands(waiting, now)


class _CheckedExchange(_CheckedBatching):
    __slots__ = ()

    def victim(self, incoming: Job, running: Running, lacks: Short, now: float) -> Job | None:
        jobs = [*running]
        states = _state((incoming, *jobs))
        victim = self.batching.victim(incoming, running, lacks, now)
        if victim is not None and victim not in jobs:
            _broken(self.batching, "victim", f"names {victim} at {now} s, which was not shown as running")
        if _state((incoming, *jobs)) != states:
            _broken(self.batching, "victim", "changes a job")
        return victim


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedEviction(Eviction):
    eviction: Eviction

    def on_stop(self, *asked: Any) -> Any:
        return _pure(self.eviction, "on_stop", asked[:1], *asked)


class _Foresees(_CheckedEviction):
    __slots__ = ()

    def foresee(self, *asked: Any) -> Any:
        return _pure(self.eviction, "foresee", asked[:1], *asked)


class _Reviews(_CheckedEviction):
    __slots__ = ()

    def review(self, *asked: Any) -> Any:
        return _pure(self.eviction, "review", asked[1], *asked)


def _checked_eviction(eviction: Eviction) -> Eviction:
    kind, own = type(eviction), list[type[_CheckedEviction]]()
    if kind.foresee is not Eviction.foresee:
        own.append(_Foresees)
    if kind.review is not Eviction.review:
        own.append(_Reviews)
    named: Eviction = type(kind.__name__, (*own, _CheckedEviction), {"__slots__": ()})(eviction)
    return named


def check_order(order: Order) -> None:
    """Rank a made-up job by every rule of ranks, before anything runs; `ContractError` names the first that is broken.

    It waits, then it runs and emits two tokens. It knows little of the order: `check_policy` runs it.
    """
    if not isinstance(order, Order):
        raise ContractError(f"{type(order).__name__} is no order: it must derive from sim.Order")
    checked = _checked(order)
    request = Request(0, 1.0, 8, GuardedTruth(4), max_tokens=16, client="a", task="a", priority=1.0, deadline=9.0)
    job = Job(request, Prediction(4.0, 4.0, distribution=Distribution.of_atoms((2.0, 4.0, 6.0))))
    if isinstance(checked, NotingOrder):
        job.note = checked.note(job, 2.0, 0)
    checked.rank(job, 2.0)
    checked.stands(job, 2.0)
    if isinstance(checked, NotingOrder):
        job.note = checked.note(job, 3.0, 1)
    job.admission = 1
    checked.stands(job, 3.0)
    for emitted in (1, 2):
        job.base_emitted, job.base_computed = emitted, 7 + emitted
        checked.rank(job, 3.0 + emitted)


def check_policy(policy: Policy, cluster: Cluster, predictor: Predictor, requests: Sequence[Request]) -> Tables:
    """Run `policy` on `requests` with every rule checked, and return the tables; `ContractError` names what is broken.

    The rules: a rank is pure, is a number, and stands for as long as its order says; the tuples handed to a
    batching are not kept, nor the jobs changed; only waiting jobs that were shown are selected, each once; a hold ends
    after now; an eviction is pure and changes no job; an answer stands until a job comes or leaves, so that leaping and
    stepping give equal tables; the truth is read by nobody but the engine and the oracle; every request ends once.
    `Unservable` names one that could never fit, for then less would be checked.
    """
    check_order(policy.order)
    for part in (policy.order, policy.batching, policy.routing, policy.eviction, predictor):
        refuse_readers(part)
    if not isinstance(policy.batching, Batching):
        raise ContractError(f"{type(policy.batching).__name__} is no batching: it must derive from sim.Batching")
    kind = _CheckedBatching if type(policy.batching).victim is Batching.victim else _CheckedExchange
    checked = dataclasses.replace(
        policy,
        order=_checked(policy.order),
        batching=kind(policy.batching, policy.batching.execution),
        eviction=_checked_eviction(policy.eviction),
    )
    guarded = [
        dataclasses.replace(
            request, truth=GuardedTruth(truth.output_tokens, truth.output_ids, truth.pauses, samples=truth.samples)
        )
        for request, truth in ((request, request.truth) for request in requests)
    ]
    tables = simulate(guarded, checked, cluster, predictor, record=Record.DECISIONS, unservable="fail")
    ended = tables.requests["id"].tolist()
    if sorted(ended) != sorted(request.id for request in requests):
        raise ContractError(f"{len(requests)} requests came, {len(ended)} ended")
    stepped = simulate(guarded, checked, cluster, predictor, record=Record.DECISIONS, leap=False, unservable="fail")
    for one, (leaped, other) in enumerate(zip(tables.decisions, stepped.decisions, strict=False)):
        if leaped != other:
            raise ContractError(f"leaping and stepping differ in step {one}: {leaped} and {other}")
    return tables
