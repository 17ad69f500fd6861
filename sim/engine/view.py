"""What a routing may see of a replica."""

from __future__ import annotations

from bisect import bisect_left

from sim.engine.replica import Replica
from sim.job import Job


class View:
    """Implements `sim.policy.ReplicaView`: the replica is brought up to date when it is asked."""

    __slots__ = ("_replica", "kind", "model", "name")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.name = replica.device.name
        self.kind = replica.device.kind
        self.model = replica.device.model

    @property
    def jobs(self) -> int:
        self._replica.look(self._replica.clock.now)
        return self._replica.jobs

    @property
    def submitted(self) -> int:
        return len(self._replica.submitted)

    def submitted_within(self, seconds: float) -> int:
        instants = self._replica.submitted
        return len(instants) - bisect_left(instants, self._replica.clock.now - seconds)

    @property
    def free_blocks(self) -> int:
        self._replica.settle(self._replica.clock.now)
        return self._replica.batch.kv.free

    def cached_tokens(self, job: Job) -> int:
        self._replica.settle(self._replica.clock.now)
        kv = self._replica.batch.kv
        return len(kv.find(job)) * kv.block_size
