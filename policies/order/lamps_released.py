"""LAMPS's order as it was released (github mars-repository/mars-codebase)."""

from __future__ import annotations

from dataclasses import dataclass

from policies.order.lamps import Lamps
from sim.job import Job
from sim.policy import Keep


@dataclass(frozen=True, slots=True)
class LampsReleased(Lamps):
    """As `Lamps`, but for four things that its code has [R].

    The tokens before the call are those of the prompt and of the answer since the last call, without what earlier ones
    left; as many are taken to follow the call. With a `skip` a newcomer has a score of -1, which goes before all, until
    scores are made. Steps of waiting are counted only of who has run before, and has no KV on the host.
    """

    def score(self, job: Job) -> float:
        """Predicted memory over time, token-seconds."""
        pauses, calls, blocks = job.prediction.pauses, job.calls, self.memory.blocks
        start = pauses[calls - 1].emitted if 0 < calls <= len(pauses) else 0.0
        at, seconds, returned = pauses[calls] if calls < len(pauses) else (job.prediction.length, 0.0, 0.0)
        own = max(at - start, 1.0)
        before, after = blocks(job.request.prompt_tokens + own), blocks(own + returned)
        if calls < len(pauses) or not calls:
            return self.memory.life(before, seconds, after, job.foreseen or Keep.KEEP)
        if job.host_tokens:
            return self.memory.moved(before) + self.memory.computed(after)
        return self.memory.computed(before + after)

    def first(self, job: Job) -> tuple[float, tuple[object, ...] | None]:
        """-1, of nothing, unless all scores are made in each step."""
        return (-1.0, None) if self.skip else super(LampsReleased, self).first(job)

    def starves(self, job: Job) -> bool:
        """As above."""
        return self.starvation is not None and job.first_scheduled is not None and not job.host_tokens
