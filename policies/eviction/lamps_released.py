"""LAMPS's handling of calls as it was released (github mars-repository/mars-codebase)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from policies.eviction.durations import foreseen as predicted
from policies.eviction.lamps import Lamps
from sim.job import Job
from sim.policy import Cause, Keep, Load, Review


@dataclass(frozen=True, slots=True)
class LampsReleased(Lamps):
    """As `Lamps`, but for four things that its code has [R].

    A call begins with the KV kept; at the next step what was foreseen is done of all such but those of the largest
    waste, whose KV stays until memory is needed. What memory pressure takes is dropped. If nobody waits but with KV on
    the host, the first of these drops it. The context at a call is that of the prompt and of the answer since the last
    call. Wastes are compared as if nobody ran [A]; the code compares those of when they were foreseen.
    """

    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """KEEP at a call, else DROP."""
        if cause is Cause.PAUSE:
            predicted(job)
        return Keep.KEEP if cause is Cause.PAUSE else Keep.DROP

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """What was foreseen of those that call out, but for the largest waste, and that nobody waits for the host."""
        moves: list[tuple[Job, Keep]] = []
        alone = load._replace(running_tokens=0, pending_tokens=0)
        waste = {
            job: self.wastes(job, job.calls - 1, alone).of(job.foreseen or Keep.KEEP)
            for job in idle
            if job.paused is not None and not job.host_tokens
        }
        most = max(waste.values(), default=0.0)
        room = load.free_on_host
        for job, own in waste.items():
            if own < most and job.foreseen is Keep.DROP:
                moves.append((job, Keep.DROP))
            elif own < most and job.foreseen is Keep.SWAP and job.blocks <= room:
                moves.append((job, Keep.SWAP))
                room -= job.blocks
        if swapped := {job for job in idle if job.paused is None and job.host_tokens}:
            waiting = [job for job in jobs if not (job.runs or job.paused is not None or job.blocks)]
            if len(waiting) == len(swapped):
                moves.append((waiting[0], Keep.DROP))
        return Review(moves, 1 if moves else math.inf)  # what is moved makes room for more

    def tokens(self, job: Job, call: int) -> float:
        """The context that is predicted for it."""
        pauses = job.prediction.pauses
        return job.request.prompt_tokens + max(pauses[call].emitted - (pauses[call - 1].emitted if call else 0), 1.0)
