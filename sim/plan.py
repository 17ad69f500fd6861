"""What a replica does next."""

from __future__ import annotations

from sim.job import Job
from sim.step import Step

NOTHING = Step()


class Plan:
    """`grants` of tokens to jobs by name, and a token to each job in lockstep if it `decodes`.

    It starts at `start` and ends at `end` (s). A plan of several `steps` is a leap: only the lockstep moves.
    `overhead` are the scheduler's own seconds, `moved_tokens` those whose KV moves between device and host.
    """

    # What most plans have; one that differs says so. (A step begins here, so this is worth it.)
    end = 0.0
    steps = 1
    decodes = True
    admits = False
    preempted: tuple[Job, ...] = ()
    moved_tokens = 0
    overhead = 0.0
    step = NOTHING

    def __init__(self, start: float) -> None:
        self.start = start
        self.grants: dict[Job, int] = {}
