"""A_min (arXiv 2508.14544): believe the lower bound of a predicted interval, until an answer has outlived it."""

from __future__ import annotations

from dataclasses import dataclass

from policies.order.distributed import distribution_of
from sim.job import Job
from sim.policy import ALWAYS, NotingOrder, Stands


@dataclass(frozen=True, slots=True)
class AMin(NotingOrder):
    """Rank by the lower bound of the answer's length, tokens: who is thought the shortest enters first.

    The bound is the quantile `level` of the predicted distribution [A]. Where memory is short, who runs with the least
    bound goes, and its bound is then the tokens that it has emitted, if those are more. An answer never is longer
    than what the predictor held possible in the paper; here it may be [A]. That a job is let in only if all bounds
    together say that it will fit is the batching's part, and no batching here does it.
    """

    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.level < 1:
            raise ValueError(f"level must be within [0, 1), got {self.level}")

    def note(self, job: Job, now: float, steps: int) -> float:
        """The bound, tokens."""
        bound: float = distribution_of(job).quantile(self.level) if job.note is None else job.note
        return max(bound, job.emitted) if job.runs else bound

    def rank(self, job: Job, now: float) -> float:
        """The bound; of a job that runs what it has less of the more it is to stay."""
        bound: float = job.note
        return -bound if job.runs else bound

    def stands(self, job: Job, now: float) -> Stands:
        """As long as the job waits, or runs."""
        return ALWAYS
