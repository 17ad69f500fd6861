"""Replicas that step together: data-parallel ranks whose experts lie on all of them.

At every layer each waits for what the others send, so a step of all takes as long as that of the slowest, and who has
nothing to do runs along empty while anybody has. Each decides for itself. They do not leap: a rank's step may end
nothing on it, and something on another.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from sim.device import Device
from sim.engine.clock import LATE, Clock
from sim.engine.plan import NOTHING, Plan
from sim.engine.recorder import Recorder
from sim.engine.replica import Replica
from sim.engine.work import work_of
from sim.job import Job
from sim.policy import Policy
from sim.step import Hold, Step


class Rank(Replica):
    """One of the replicas in `ranks`, into which it enters itself."""

    def __init__(
        self,
        ranks: list[Rank],
        clock: Clock,
        number: int,
        device: Device,
        policy: Policy,
        recorder: Recorder,
        leave: Callable[[Job], None],
        leap: bool,
        walk: bool = False,
    ) -> None:
        super().__init__(clock, number, device, policy, recorder, leave, leap, walk)
        self._ranks = ranks
        ranks.append(self)
        if self._ahead != ranks[0]._ahead:
            ahead = f"{ranks[0]._ahead} and {self._ahead} steps"
            raise ValueError(f"ranks that step together plan ahead alike, got {ahead}")

    def look(self, now: float) -> None:
        self.advance(now)

    def advance(self, now: float) -> None:
        """As in `Replica`, of all ranks."""
        while min(rank._until for rank in self._ranks) < now:
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Carry out the step whose time has come, if any, and let each rank plan the next."""
        ranks, start = self._ranks, min(rank._until for rank in self._ranks)
        for rank in ranks:
            if rank._plan is not None:
                rank._commit(rank._plan)
        decisions = [rank.planner.plan(start) for rank in ranks]
        if all(isinstance(decision, Hold) for decision in decisions):
            for rank, decision in zip(ranks, decisions, strict=True):
                assert isinstance(decision, Hold)
                if rank._watch is not None:
                    rank._watch.planned(None, start, rank.waiting.steps)
                if rank.batch.busy_until > start:
                    rank._plan = rank._new_plan(start).until_free()
                    rank._wake(rank._plan.due)
                else:
                    rank._wait(min(decision.until, rank._agenda.head))
            return
        plans = [
            rank._empty(start) if isinstance(decision, Hold) else decision
            for rank, decision in zip(ranks, decisions, strict=True)
        ]
        works = [rank._compose(plan) for rank, plan in zip(ranks, plans, strict=True)]
        tokens = sum(work.prefill_tokens + work.decode_jobs + work.proposed_tokens for work, _ in works) / len(ranks)
        seconds = [
            before + (float(rank._profile.step_time(work._replace(rank_tokens=tokens))) if work != NOTHING else 0.0)
            for rank, (work, before) in zip(ranks, works, strict=True)
        ]
        begin = max(plan.start for plan in plans)
        for rank, plan in zip(ranks, plans, strict=True):
            rank._begin(plan, begin, begin + max(seconds))

    def _compose(self, plan: Plan) -> tuple[Step, float]:
        """The work of `plan` on this rank, and the seconds that it waits before."""
        if not (plan.decodes or plan.grants):
            return NOTHING, 0.0
        plan.step = work_of(plan, self.batch.lockstep, self._uneven)
        return self._delayed(plan, self._charge(plan) if self._charges else 0.0)

    def _begin(self, plan: Plan, start: float, end: float) -> None:
        """`plan` is what this rank does from `start` until `end` (s)."""
        self._plan, plan.start, plan.due, plan.end = plan, start, start, end
        if self._keeps_steps:
            plan.waiting = len(self.waiting)
            if self._watch is not None:
                self._watch.planned(plan, start, self.waiting.steps)
        self.waiting.steps += 1
        self._wake(start if self._ahead else end)

    def _wait(self, until: float) -> None:
        """Nothing is done here until `until` (s), or until somebody comes to one of the ranks."""
        self._plan = None
        self._wake(until)

    def _wake(self, until: float) -> None:
        self._until = until
        if self._awaited and until < math.inf:
            self.clock.at(until, self._on_time, LATE)

    def _empty(self, now: float) -> Plan:
        """What a rank does that, `now` (s), has nothing to do."""
        plan = self._new_plan(now)
        plan.decodes = False
        return plan
