"""FastServe's skip-join multilevel feedback queue, as the paper has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from policies.order.mlfq import MLFQ
from policies.order.prefill_seconds import PrefillSeconds
from sim.job import Job


@dataclass(frozen=True, slots=True)
class SkipJoin(MLFQ):
    """As `MLFQ`, but a job comes in at the first level whose quantum its `prefill` does not exceed.

    So it is not sent down in the midst of its first token. Who has used up a quantum goes `eta` levels down (the
    paper's Algorithm 1); `patience` is its alpha, after which a job that waits is promoted to the first level.
    """

    prefill: PrefillSeconds = field(kw_only=True)
    eta: int = 1

    def __post_init__(self) -> None:
        MLFQ.__post_init__(self)
        if not self.eta >= 1:
            raise ValueError(f"eta must be at least 1 level, got {self.eta}")

    def entry(self, job: Job) -> int:
        """The first level whose quantum is at least the prefill time of the prompt."""
        return joined(self, self.prefill.seconds(job.request.prompt_tokens), self.levels)

    def below(self, level: int) -> int:
        """`eta` further down, or the last level."""
        return min(level + self.eta, self.levels - 1)


def joined(order: MLFQ, prefill: float, levels: int) -> int:
    """The first of `levels` whose quantum is at least `prefill` (s), or the last."""
    return next((level for level in range(levels - 1) if order.seconds(level) >= prefill), levels - 1)
