"""How long a job is expected to hold a device, from its lengths: ALISE's execution-time model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.job import Job


@dataclass(frozen=True, slots=True)
class ExecutionTime:
    """ALISE's two fits [S]: T_pre(s) = s * t0 of a prompt of s tokens, T_dec(s, n) = n * (alpha * s + beta) of n more.

    `t0` and `beta` are seconds a token, `alpha` seconds a token of the prompt and of the answer; an experiment takes
    them from the device's profile.
    """

    t0: float
    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name in ("t0", "alpha", "beta"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")

    def remaining(self, job: Job) -> float:
        """Seconds that `job` still takes: its prefill, unless it has emitted something, and its predicted tokens.

        What calls returned stands behind the prompt, and counts as part of it.
        """
        prompt = job.given
        prefill = 0.0 if job.emitted else self.t0 * prompt
        return prefill + job.remaining * (self.alpha * prompt + self.beta)
