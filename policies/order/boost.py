"""gamma-Boost (Yu and Scully, arXiv 2404.08826): first come, first served, as if short jobs had come earlier."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from policies.order.distributed import distribution_of
from policies.order.service_time import ServiceTime
from sim.job import Job
from sim.policy import FixedOrder
from sim.prediction import Distribution


@dataclass(frozen=True, slots=True)
class Boost(FixedOrder):
    """Rank by arrival less the boost b = ln(M / (M - 1)) / `gamma` (s), M = E[exp(gamma S)] of the predicted service S.

    `gamma` (1/s) is the rate at which the tail of the response time under first come, first served, decays: in an
    M/G/1 the solution of gamma = arrivals per second * (E[exp(gamma S)] - 1) over all jobs. Not preemptive.
    """

    gamma: float
    service: ServiceTime

    def __post_init__(self) -> None:
        if not 0 < self.gamma < math.inf:
            raise ValueError(f"gamma must be positive and finite, got {self.gamma} per s")

    def rank(self, job: Job, now: float) -> float:
        """When the job might as well have come, s; a call is over before it comes anew."""
        return job.request.arrival + job.call_seconds - self.boost(job)

    def boost(self, job: Job) -> float:
        """Seconds; infinite for a job that takes none."""
        growth = self.service.prompt_seconds(job) * self.gamma
        growth += log_growth(distribution_of(job), self.gamma * self.service.eta)
        return -math.log(-math.expm1(-growth)) / self.gamma if growth > 0 else math.inf


def log_growth(length: Distribution, rate: float) -> float:
    """ln E[exp(rate * length)]; `rate` is per token. Free of overflow, whatever the lengths."""
    levels, lengths = length.levels, length.lengths
    parts = [(levels[0], lengths[0], 0.0), (1 - levels[-1], lengths[-1], 0.0)]  # the mass, its end, its width, tokens
    for (low, high), (short, long) in zip(pairwise(levels), pairwise(lengths), strict=True):
        parts.append((high - low, long, long - short))
    logs = [math.log(mass) + rate * end + _log_share(rate * width) for mass, end, width in parts if mass > 0]
    most = max(logs)
    return most + math.log(math.fsum([math.exp(one - most) for one in logs]))


def _log_share(width: float) -> float:
    """ln of the mean of exp over so wide a stretch, by that at its end."""
    return math.log(-math.expm1(-width) / width) if width > 0 else 0.0
