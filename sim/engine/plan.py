"""What a replica does next."""

from __future__ import annotations

from sim.job import Job
from sim.step import Step

NOTHING = Step()


class Plan:
    """`grants` of tokens to jobs by name, and a token to each job in lockstep if it `decodes`.

    It is decided at `decided`, starts at `start`, when the device is free, and ends at `end`; what comes after it is
    decided at `due` (s). A plan of several `steps` is a leap: only the lockstep moves; one of none waits for its `end`.
    `overhead` are the scheduler's own seconds, `moved_tokens` those whose KV moves between device and host, `waiting`
    (if steps are recorded) the jobs that wait when it begins.
    """

    __slots__ = (
        "admits", "decided", "decodes", "due", "end", "grants", "moved_tokens", "overhead", "preempted", "start",
        "step", "steps", "waiting",
    )  # fmt: skip

    due: float
    end: float
    waiting: int

    def __init__(self, start: float) -> None:
        self.decided = self.start = start
        self.steps = 1
        self.decodes = True
        self.admits = False
        self.grants: dict[Job, int] = {}
        self.preempted: tuple[Job, ...] = ()
        self.moved_tokens = 0
        self.overhead = 0.0
        self.step = NOTHING

    def but_last(self, end: float, due: float) -> Plan:
        """The steps of this leap but the last: they end at `end`, and the last was decided at `due` (s)."""
        over = Plan(self.decided)
        over.start, over.steps, over.step = self.start, self.steps - 1, self.step
        over.end, over.due = end, due
        return over

    def until_free(self) -> Plan:
        """Itself, to do nothing until what is under way has ended."""
        self.steps, self.decodes = 0, False
        self.due = self.end = self.start
        return self
