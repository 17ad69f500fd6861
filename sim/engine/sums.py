"""What an eviction is told of a replica: its blocks, its jobs, and their tokens, summed as seldom as can be."""

from __future__ import annotations

from itertools import islice

from sim.engine.batch import Batch
from sim.engine.host import Host
from sim.engine.queue import WaitingQueue
from sim.job import Job
from sim.policy import Load

_new = tuple.__new__  # of all its fields, in half the time of `Load`: one is made at each review


class Sums:
    """The `load` of a replica as it is now."""

    def __init__(self, waiting: WaitingQueue, batch: Batch, host: Host) -> None:
        self._waiting = waiting
        self._batch = batch
        self._host = host
        self._summed = 0, 0  # when the sums were made: steps, prefills
        self._sums = 0, -1, 0, 0  # admissions and jobs by name as of then; their tokens, computed and due

    def load(self, gone: Job | None = None) -> Load:
        """What there is, now that `gone` (if any) has just stopped."""
        batch, kv, host = self._batch, self._batch.kv, self._host
        tokens, pending = self._by_name(gone)
        return _new(Load, (
            kv.free, kv.total, len(batch.running), host.free, host.total, host.leaving, kv.block_size,
            batch.lockstep.context + tokens, batch.lockstep.rows + batch.lockstep.proposals[0] + pending,
            host.returning,
        ))  # fmt: skip

    def _by_name(self, gone: Job | None) -> tuple[int, int]:
        """Tokens that jobs which are granted theirs by name have computed, and those due next: summed once a plan.

        Who has entered since stands last; who has stopped was `gone` then.
        """
        batch, (admissions, summed, tokens, pending) = self._batch, self._sums
        jobs, at, entered = len(batch.by_name), (self._waiting.steps, batch.prefills), batch.admissions - admissions
        stopped, drafts = int(gone is not None), batch.lockstep.most > 1
        if self._summed != at or jobs != summed + entered - stopped or (stopped and drafts):
            tokens, pending, entered, stopped = 0, 0, jobs, 0
        if entered:
            for job in islice(reversed(batch.by_name), entered):
                tokens += job.base_computed
                pending += job.due
        if stopped and gone is not None:
            tokens, pending = tokens - gone.base_computed, pending - gone.pending
        self._summed, self._sums = at, (batch.admissions, jobs, tokens, pending)
        return tokens, pending
