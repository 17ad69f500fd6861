"""Highest priority point first, a baseline of RT-LM that knows no uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.order.service_time import ServiceTime
from sim.job import Job
from sim.policy import FixedOrder


def priority_point(job: Job, service: ServiceTime, prompt_weight: float) -> float:
    """RT-LM's priority point d_J, an instant in seconds: the request's deadline, if the trace gives one.

    Otherwise arrival + `prompt_weight` * (the prompt's seconds of service); that d_J comes from the arrival and a term
    in the prompt's length is unverified, the form is our assumption.
    """
    if job.request.deadline is not None:
        return job.request.deadline
    return job.request.arrival + prompt_weight * service.prompt_seconds(job)


@dataclass(frozen=True, slots=True)
class HPF(FixedOrder):
    """Rank by ascending priority point d_J."""

    service: ServiceTime
    prompt_weight: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.prompt_weight):
            raise ValueError(f"prompt_weight must be finite, got {self.prompt_weight}")

    def rank(self, job: Job, now: float) -> float:
        """The priority point, s."""
        return priority_point(job, self.service, self.prompt_weight)
