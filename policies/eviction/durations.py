"""How long a call still takes: what INFERCEPT's waste rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sim.job import Job


class Duration(Protocol):
    """Says how long the call still takes for which a job waits."""

    def left(self, job: Job, now: float) -> float:
        """Seconds from `now` on, of `job`, which has called."""
        ...


@dataclass(frozen=True, slots=True)
class Elapsed:
    """As long as it has taken so far, t_now - t_call: INFERCEPT's own estimate, which needs no prediction."""

    def left(self, job: Job, now: float) -> float:
        """What has passed since the call, s."""
        assert job.paused is not None  # asked of those alone that have called
        return now - job.paused


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is predicted of the call, less what has passed: with the true durations the released code's oracle."""

    def left(self, job: Job, now: float) -> float:
        """The rest of it, s, none if it takes longer than predicted; ValueError if nothing was predicted of it."""
        return max(0.0, foreseen(job) - Elapsed().left(job, now))


def foreseen(job: Job) -> float:
    """How long the call that `job` has begun was predicted to take in all, s; ValueError if nothing was said of it."""
    pauses = job.prediction.pauses
    if len(pauses) < job.calls:
        raise ValueError(
            f"the prediction of {job} tells of {len(pauses)} calls, and it makes number {job.calls}: this eviction "
            "needs a predictor that says how long calls take, such as predictor=oracle or calls"
        )
    return pauses[job.calls - 1].seconds
