"""A check that anyone can run on a policy of their own: does it keep the rules that the engine relies on?"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from types import FrameType
from typing import Any, NoReturn

from sim.cluster import Cluster
from sim.execution import Execution
from sim.job import Job
from sim.policy import Batching, Order, Policy, Predictor, Rank
from sim.prediction import Prediction
from sim.record import Record, Tables
from sim.request import Request, Truth
from sim.simulation import simulate
from sim.step import Hold

MAY_READ_TRUTH = ("sim.", "policies.predictor.oracle")
GENERATED = ("sim.request", "dataclasses", "reprlib", "copy")  # where a Request's own ==, hash, repr and copies run


class ContractError(AssertionError):
    """A policy broke a rule; the message says which part and how."""


def _refuse_stranger(frame: FrameType | None) -> None:
    """Raise unless the code that `frame` works for, past a Request's generated methods, may read the truth."""
    while frame is not None and frame.f_globals.get("__name__") in GENERATED:
        frame = frame.f_back
    reader = frame.f_globals.get("__name__", "") if frame else ""
    if not reader.startswith(MAY_READ_TRUTH):
        raise ContractError(f"{reader} reads the true output length")


class GuardedTruth(Truth):
    """A truth that raises `ContractError` when anyone but the engine and the oracle reads, compares or prints it."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        frame = sys._getframe(1)
        if name == "output_tokens" and frame.f_globals.get("__name__") != "sim.request":  # Request checks its fields
            _refuse_stranger(frame)
        return object.__getattribute__(self, name)

    def __eq__(self, other: object) -> bool:
        _refuse_stranger(sys._getframe(1))
        return isinstance(other, Truth) and self.output_tokens == other.output_tokens

    def __hash__(self) -> int:
        _refuse_stranger(sys._getframe(1))
        return hash(self.output_tokens)

    def __repr__(self) -> str:
        _refuse_stranger(sys._getframe(1))
        return f"GuardedTruth(output_tokens={self.output_tokens})"


def _broken(part: object, method: str, how: str) -> NoReturn:
    raise ContractError(f"{type(part).__name__}.{method} {how}")


def _state(jobs: Iterable[Job]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(job, name) for name in Job.__slots__) for job in jobs]


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedOrder(Order):
    order: Order
    horizon: float
    first_ranks: dict[tuple[Job, int], Rank] = dataclasses.field(default_factory=dict)

    def rank(self, job: Job, now: float) -> Rank:
        before = _state((job,))
        rank = self.order.rank(job, now)
        parts = rank if isinstance(rank, tuple) else (rank,)
        if not all(isinstance(part, Real) and not math.isnan(part) for part in parts):
            _broken(self.order, "rank", f"gives {rank!r} for {job} at {now} s, which is no number, nor a tuple of them")
        if self.order.rank(job, now) != rank:
            _broken(self.order, "rank", f"is not pure: it ranks {job} differently when asked twice at {now} s")
        if _state((job,)) != before:
            _broken(self.order, "rank", f"changes {job}")
        if self.horizon == math.inf:
            first = self.first_ranks.setdefault((job, job.emitted), rank)
            if not first == rank == self.order.rank(job, now + 1.0):
                _broken(self.order, "rank", f"never changes, says its horizon, and does for {job} after {now} s")
        return rank


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedBatching:
    batching: Batching

    @property
    def execution(self) -> Execution:
        return self.batching.execution

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


def check_order(order: Order) -> None:
    """Rank a made-up job by every rule of ranks, before anything runs; `ContractError` names the first that is broken.

    It knows little of the order: `check_policy` runs it.
    """
    if not isinstance(order, Order):
        raise ContractError(f"{type(order).__name__} is no order: it must derive from sim.Order")
    if not (isinstance(order.horizon, Real) and order.horizon >= 1):
        _broken(order, "horizon", f"must be a number of steps, 1 or more, and is {order.horizon!r}")
    request = Request(0, 1.0, 8, GuardedTruth(4), max_tokens=16, client="a", task="a", priority=1.0, deadline=9.0)
    _CheckedOrder(order, order.horizon).rank(Job(request, Prediction(4.0, 4.0)), 2.0)


def check_policy(policy: Policy, cluster: Cluster, predictor: Predictor, requests: Sequence[Request]) -> Tables:
    """Run `policy` on `requests` with every rule checked, and return the tables; `ContractError` names what is broken.

    The rules: a rank is pure, is a number and, if the order says so, holds while the job waits; the tuples handed to a
    batching are not kept, nor the jobs changed; only waiting jobs that were shown are selected, each once; a hold ends
    after now; an answer stands until a job comes or leaves, so that leaping and stepping give equal tables; the truth
    is read by nobody but the engine and the oracle; every request ends once. `Unservable` names one that could
    never fit, for then less would be checked.
    """
    check_order(policy.order)
    checked = dataclasses.replace(
        policy,
        order=_CheckedOrder(policy.order, policy.order.horizon),
        batching=_CheckedBatching(policy.batching),
    )
    guarded = [
        dataclasses.replace(request, truth=GuardedTruth(request.truth.output_tokens, request.truth.output_ids))
        for request in requests
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
