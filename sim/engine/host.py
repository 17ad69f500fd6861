"""The host memory beside a device, and what is copied to and from it."""

from __future__ import annotations

import math

from sim.device import Copying, Device
from sim.engine.agenda import Agenda
from sim.engine.channel import channel
from sim.engine.kv import KVCache
from sim.engine.plan import Plan
from sim.job import Job


class Host:
    """A pool of blocks. The step in which KV is copied waits for it.

    `seconds` are those for which the step being planned waits, where a link says so and not the profile.
    `moving` are the jobs whose KV is under way, which neither wait nor run, `leaving` the device blocks that come free
    when copies under way end, `returning` the tokens that others bring back, and `arrived` the jobs whose copies have
    ended.
    """

    def __init__(self, device: Device, kv: KVCache) -> None:
        tokens, self._share = device.host.tokens, device.host.share
        self.total: float = math.inf if tokens is None else int(tokens / self._share) // device.block_size
        self.free = self.total
        self.jobs: dict[Job, int] = {}  # blocks of each job whose KV is here, or under way
        self.moving: dict[Job, object] = {}
        self.leaving = self.returning = 0
        self.seconds = 0.0
        self.arrived: list[Job] = []
        self._device = device
        self._kv = kv

    def out(self, plan: Plan, job: Job) -> None:
        """Copy the KV of `job` here from the device; RuntimeError if there is no room."""
        self._take(job)
        size = self._leave(job)
        plan.moved_tokens += self._moved(job)
        self._wait(size)

    def back(self, plan: Plan, job: Job) -> bool:
        """Copy it back, into the blocks that `job` holds there; whether it is there at once."""
        plan.moved_tokens += self._moved(job)
        self._wait(self._arrive(job))
        return True

    def drop(self, job: Job) -> None:
        """Forget the KV of `job`."""
        self.free += self.jobs.pop(job)
        job.host_tokens = 0

    def abandon(self, job: Job) -> bool:
        """Copy the KV of `job` no further, whoever it is for; whether it was under way, or has just come."""
        return False

    def _take(self, job: Job) -> None:
        blocks = -(-job.base_computed // self._kv.block_size)
        if blocks > self.free:
            raise RuntimeError(
                f"{job} is to be swapped out, and needs {blocks} blocks of host memory: "
                f"{self._device.name} has {self.total:g}, of which {self.free:g} are free"
            )
        self.jobs[job] = blocks
        self.free -= blocks

    def _leave(self, job: Job) -> float:
        """The KV of `job` is here: its bytes."""
        self._kv.release(job)
        job.host_tokens, job.base_computed = job.base_computed, 0
        job.moved_tokens += self._moved(job)
        return self._size(job.host_tokens)

    def _arrive(self, job: Job) -> float:
        """The KV of `job` is on the device: its bytes."""
        job.base_computed = job.host_tokens
        job.moved_tokens += self._moved(job)
        self.drop(job)
        return self._size(job.base_computed)

    def _moved(self, job: Job) -> int:
        """Tokens whose KV on the device is as many bytes as are moved for `job`."""
        return math.ceil(job.host_tokens * self._share)

    def _size(self, tokens: int) -> float:
        """Bytes that are moved for so many tokens."""
        return tokens * self._device.kv_bytes_per_token * self._share

    def _wait(self, size: float) -> None:
        """Let the step wait for a copy of `size` bytes; without a link the profile says how long, by moved tokens."""
        link = self._device.host.link
        if link is not None:
            self.seconds += link.seconds(size)


class OverlappedHost(Host):
    """KV is copied while steps go on, over a channel each way, and holds its blocks on both sides until it is there."""

    def __init__(self, device: Device, kv: KVCache, agenda: Agenda) -> None:
        super().__init__(device, kv)
        link = device.host.link
        assert link is not None  # see HostMemory
        self._to, self._from = channel(link, agenda.at), channel(link, agenda.at)

    def out(self, plan: Plan, job: Job) -> None:
        self._take(job)
        self._kv.forget(job, job.base_computed)
        self.moving[job] = ticket = object()
        self.leaving += job.blocks

        def gone(_: float) -> None:
            if self.moving.get(job) is not ticket:
                return
            self.leaving -= job.blocks
            self._leave(job)
            self._end(job)

        self._to.send(self._size(job.base_computed), plan.start, gone)

    def back(self, plan: Plan, job: Job) -> bool:
        self.moving[job] = ticket = object()
        self.returning += job.host_tokens

        def come(_: float) -> None:
            if self.moving.get(job) is not ticket:
                return
            self.returning -= job.host_tokens
            self._arrive(job)
            self._end(job)

        self._from.send(self._size(job.host_tokens), plan.start, come)
        return False

    def abandon(self, job: Job) -> bool:
        if job in self.arrived:
            self.arrived.remove(job)
            return True
        if self.moving.pop(job, None) is None:
            return False
        if job.host_tokens:
            self.returning -= job.host_tokens
        else:  # it was on its way to the host
            self.leaving -= job.blocks
        return True

    def _end(self, job: Job) -> None:
        del self.moving[job]
        self.arrived.append(job)


def host_of(device: Device, kv: KVCache, agenda: Agenda) -> Host:
    """The host memory of `device`, empty."""
    return OverlappedHost(device, kv, agenda) if device.host.copying is Copying.OVERLAPPED else Host(device, kv)
