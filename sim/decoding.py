"""How many tokens a pass proposes to a decoding job, and how many of them it emits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sim.request import Request
from sim.step import Line, Profile, Step


class Passes(NamedTuple):
    """The passes of one job that decodes, one after another; integer sequences of equal length, numpy's or others.

    Pass i proposes `proposed[i]` tokens beyond the one that is owed, and emits `emits[i]`, at most one more than that;
    none where it was in vain.
    """

    emits: Sequence[int]
    proposed: Sequence[int]


class PricedProfile(Profile, Protocol):
    """A profile of steps in which tokens are proposed, and checked."""

    def step_time(self, step: Step) -> float:
        """As in `Profile`, by `proposed_tokens` and `rounds` too."""
        ...

    def decode_line(self, jobs: int, context: int, longest: int = 0, proposed: int = 0, rounds: int = 0) -> Line:
        """As in `Profile`, of steps in which so many tokens are proposed in all, and `rounds` to one job at most."""
        ...


class Decoding(ABC):
    """A device's way to decode: in place of a token, a pass may emit several, or none.

    The tokens that are proposed take room in the KV memory and in the budget of a step. `lookahead` is the most that a
    pass proposes to a job.
    """

    __slots__ = ()
    lookahead: int

    @abstractmethod
    def passes(self, request: Request, emitted: int) -> Passes:
        """The passes of `request` when it begins to decode, or to decode anew, with `emitted` output tokens.

        Asked each time that it has been admitted, when its prefill, or its first pass, has emitted a token. A pure
        function: what is drawn is drawn from the request's own stream, by the place in its answer, and does not depend
        on the schedule. The passes emit the rest of the answer, at least: the last is cut.
        """

    @abstractmethod
    def priced(self, target: Profile) -> PricedProfile:
        """What steps take on a device whose steps without proposals take what `target` says."""
