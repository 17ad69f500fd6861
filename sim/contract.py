"""A check that anyone can run on a policy of their own: does it keep the rules that the engine relies on?"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from typing import Any

from sim.cluster import Cluster, simulate
from sim.job import Job
from sim.policy import Batching, Execution, Order, Policy, Predictor, Rank, is_static
from sim.record import Tables
from sim.request import Request, Truth
from sim.step import Hold

MAY_READ_TRUTH = ("sim.", "policies.predictors.oracle")


class ContractError(AssertionError):
    """A policy broke a rule; the message says which part and how."""


class GuardedTruth(Truth):
    """A truth that raises `ContractError` when anyone but the engine and the oracle reads it."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name == "output_tokens":
            reader = sys._getframe(1).f_globals.get("__name__", "")
            if not reader.startswith(MAY_READ_TRUTH) and reader != "dataclasses":
                raise ContractError(f"{reader} reads the true output length")
        return object.__getattribute__(self, name)


def _state(job: Job) -> tuple[Any, ...]:
    return tuple(getattr(job, name) for name in Job.__slots__)


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedOrder:
    order: Order
    horizon: float

    def rank(self, job: Job, now: float) -> Rank:
        name = type(self.order).__name__
        before = _state(job)
        rank = self.order.rank(job, now)
        if self.order.rank(job, now) != rank:
            raise ContractError(f"{name}.rank is not pure: it ranks {job} differently when asked twice at {now} s")
        if _state(job) != before:
            raise ContractError(f"{name}.rank changes {job}")
        if any(math.isnan(part) for part in (rank if isinstance(rank, tuple) else (rank,))):
            raise ContractError(f"{name}.rank gives NaN for {job} at {now} s")
        if self.horizon == math.inf and self.order.rank(job, now + 1.0) != rank:
            raise ContractError(f"{name} says that its ranks never change, and ranks {job} differently 1 s later")
        return rank


@dataclasses.dataclass(frozen=True, slots=True)
class _CheckedBatching:
    batching: Batching

    @property
    def execution(self) -> Execution:
        return self.batching.execution

    def select(self, waiting: tuple[Job, ...], running: tuple[Job, ...], now: float) -> Sequence[Job] | Hold:
        name = type(self.batching).__name__
        chosen = self._unkept("select", (*waiting,), (*running,), now)
        if isinstance(chosen, Hold):
            if not chosen.until > now:
                raise ContractError(f"{name}.select holds at {now} s until {chosen.until} s")
            return chosen
        if len(set(chosen)) != len(chosen) or not set(chosen) <= {*waiting, *running}:
            raise ContractError(f"{name}.select gives a job twice, or one that it was not shown")
        return chosen

    def retire(self, running: tuple[Job, ...]) -> Sequence[Job]:
        leaving = list(self._unkept("retire", (*running,)))
        unfinished = [job for job in leaving if not job.complete]
        if unfinished:
            raise ContractError(f"{type(self.batching).__name__}.retire lets {unfinished[0]} go before its end")
        return leaving

    def _unkept(self, method: str, *arguments: Any) -> Any:
        """Call `method`, and raise if a tuple that it was handed is still held by the batching afterwards."""
        before = [sys.getrefcount(argument) for argument in arguments]
        result = getattr(self.batching, method)(*arguments)
        result = result if isinstance(result, Hold) else list(result)
        after = [sys.getrefcount(argument) for argument in arguments]
        for argument, old, new in zip(arguments, before, after, strict=True):
            if isinstance(argument, tuple) and argument and new > old:
                raise ContractError(f"{type(self.batching).__name__}.{method} keeps a tuple that it was handed")
        return result


def check_policy(policy: Policy, cluster: Cluster, predictor: Predictor, requests: Sequence[Request]) -> Tables:
    """Run `policy` on `requests` with every rule checked, and return the tables; `ContractError` names what is broken.

    The rules: a rank is pure, is a number and, if the order says so, never changes; the tuples handed to a batching are
    not kept; only jobs that were shown are selected, each once; a hold ends after now; only complete jobs retire; the
    truth is read by nobody but the engine and the oracle; every request ends once.
    """
    horizon = math.inf if is_static(policy.order) else 1.0
    checked = dataclasses.replace(
        policy, order=_CheckedOrder(policy.order, horizon), batching=_CheckedBatching(policy.batching)
    )
    guarded = [
        dataclasses.replace(request, truth=GuardedTruth(_true_output(request))) for request in requests
    ]
    tables = simulate(guarded, checked, cluster, predictor)
    ended = tables.requests["id"]
    if sorted(ended) != sorted(request.id for request in requests):
        raise ContractError(f"{len(requests)} requests came, {len(ended)} ended")
    return tables


def _true_output(request: Request) -> int:
    return request.truth.output_tokens
