"""What a routing may see of a replica."""

from __future__ import annotations

from sim.engine.replica import Replica
from sim.job import Job


class View:
    """Implements `sim.policy.ReplicaView`: the replica is brought up to date when it is asked."""

    __slots__ = ("_replica", "kind", "name")

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.name = replica.device.name
        self.kind = replica.device.kind

    @property
    def jobs(self) -> int:
        self._replica.advance(self._replica.clock.now)
        return self._replica.jobs

    @property
    def submitted(self) -> int:
        return self._replica.submitted

    @property
    def free_blocks(self) -> int:
        self._replica.settle(self._replica.clock.now)
        return self._replica.batch.kv.free

    def cached_tokens(self, job: Job) -> int:
        self._replica.settle(self._replica.clock.now)
        kv = self._replica.batch.kv
        return len(kv.find(job)) * kv.block_size
