"""How many tokens a pass proposes to a decoding job, and how many of them it emits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from inspect import signature
from typing import ClassVar, NamedTuple, Protocol

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
    pass proposes to a job. Where passes are not `divisible`, one for which the budget of a step is too short waits for
    the next; otherwise it goes with fewer proposals.
    """

    __slots__ = ()
    lookahead: int
    divisible: ClassVar[bool] = True

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


def priced(decoding: Decoding, target: Profile) -> PricedProfile:
    """What `decoding` makes of `target`; TypeError unless it knows of proposals."""
    found = decoding.priced(target)
    try:
        signature(found.decode_line).bind(1, 1, 0, 1, 1)
    except (AttributeError, TypeError) as error:
        name = f"{type(decoding).__name__}.priced gives {type(found).__name__}"
        raise TypeError(
            f"{name}, whose decode_line does not take `proposed` and `rounds` (sim.PricedProfile)"
        ) from error
    return found
