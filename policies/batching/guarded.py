"""SSJF's guard against starvation (arXiv 2404.08509), before any batching."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from policies.batching.static import waits_since
from sim.execution import Execution
from sim.job import Job
from sim.policy import Batching
from sim.step import Hold


class Service(Protocol):
    """How long a job is expected to hold a device, as `policies.order.service_time.ServiceTime` says it."""

    def seconds(self, job: Job, output_tokens: float) -> float:
        """Seconds for the prompt and `output_tokens`."""
        ...


@dataclass(frozen=True, slots=True)
class Guarded(Batching):
    """`batching` sees all that wait by rank; by the time that they wait if the first of them has waited too long.

    Of equal times those of better rank go first. Too long is `longest_wait` seconds, or `multiple` times its service.
    The paper's simulator takes the true service time, of what is left; a policy knows the predicted one, of the whole.
    """

    batching: Batching
    service: Service
    longest_wait: float = 100.0
    multiple: float = 10.0
    window: int = 1 << 20
    execution: Execution = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("longest_wait", "multiple"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if type(self.batching).victim is not Batching.victim:
            raise ValueError(f"a batching that names victims cannot be guarded, {type(self.batching).__name__} does")
        object.__setattr__(self, "execution", dataclasses.replace(self.batching.execution, window=self.window))

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """Whom `batching` selects, in the one order or the other."""
        if now >= self._due(min(waiting, key=waits_since)):
            waiting = tuple(sorted(waiting, key=waits_since))
        return self.batching.select(waiting, running, now)

    def select_stands(self, waiting: tuple[Job, ...], now: float) -> float:
        """Until the one that waited longest has waited too long, if it has not."""
        until, due = self.batching.select_stands(waiting, now), self._due(min(waiting, key=waits_since))
        return min(until, due) if due > now else until

    def _due(self, job: Job) -> float:
        """When `job` has waited too long, s."""
        service = self.service.seconds(job, job.prediction.length)
        return waits_since(job) + min(self.longest_wait, self.multiple * service)
