"""One forward pass: the work it does on a device, and the question how long that takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


def attended_tokens(new: int, computed: int) -> int:
    """Context tokens that `new` tokens attend to when `computed` tokens stand before them (each attends to itself)."""
    return new * computed + new * (new + 1) // 2


class Step(NamedTuple):
    """The work of one forward pass, as a device sees it; all fields are tokens, but the jobs and `rounds`.

    `prefill_attended` is the sum, over the prefill tokens, of the context that each attends to; `decode_context` the
    sum of the decoding jobs' contexts, and `decode_longest` the longest of them (0: not told, see `Profile.uneven`);
    `moved_tokens` the tokens whose KV is copied between device and host; `rank_tokens` the tokens of a rank, on average
    over those that step together (0: this steps alone). `proposed_tokens` are proposed to the decoding jobs beyond the
    tokens that they owe, and checked in this pass; `rounds` is the most that one job has of them.
    """

    prefill_tokens: int = 0
    prefill_attended: int = 0
    decode_jobs: int = 0
    decode_context: int = 0
    moved_tokens: int = 0
    prefill_jobs: int = 0
    decode_longest: int = 0
    rank_tokens: float = 0.0
    proposed_tokens: int = 0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of a decode step of so many jobs: base + slope * their total context, from `since` to `until` tokens."""

    base: float
    slope: float
    until: float
    since: float = 0.0


class Profile(Protocol):
    """How long a step takes on one device with one model."""

    @property
    def uneven(self) -> bool:
        """Whether it asks how long the longest of the decoding jobs' contexts is; to find out takes a look at each."""
        ...

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; raises ValueError where the profile says nothing about such a step."""
        ...

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """The time of steps of `jobs` decoding jobs and nothing else, whose total context is `context` or near it.

        The `longest` of their contexts (0 if it is not `uneven`) grows with the others, by one token a step.
        It agrees with `step_time`, and raises ValueError as that does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hold:
    """Run nothing now; ask again at `until` (seconds) or when a job arrives, whichever is first."""

    until: float
