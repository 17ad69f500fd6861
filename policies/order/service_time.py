"""How long a job is expected to hold a device, from its lengths: RT-LM's execution-time model of one job."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.job import Job


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """Seconds = phi * prompt_tokens + eta * output_tokens, RT-LM's model with its batch of one.

    `phi` and `eta` are seconds per prompt token and per output token; an experiment takes them from the device's
    profile. The form is our assumption: the paper's coefficients are known by name only.
    """

    phi: float
    eta: float

    def __post_init__(self) -> None:
        for name in ("phi", "eta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")

    def prompt_seconds(self, job: Job) -> float:
        """Seconds for the prompt alone."""
        return self.phi * job.request.prompt_tokens

    def seconds(self, job: Job, output_tokens: float) -> float:
        """Seconds for the prompt and `output_tokens`."""
        return self.prompt_seconds(job) + self.eta * output_tokens
