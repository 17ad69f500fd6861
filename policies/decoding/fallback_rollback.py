"""BiLD: a small model decodes until it is unsure, and the large one that takes over corrects what it has said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from policies.decoding.drafted import Drafted
from policies.decoding.proposals import check_lookahead, recorded
from sim import Decoding, Passes, PricedProfile, Profile, Request


class Run(NamedTuple):
    """What comes before, and of, one pass of the large model.

    From the place `start` of the answer (tokens before it) the small model makes `drafted` tokens, of which `kept`
    stand; the large model puts the next one. `rolled_back` says that it stands in place of one of the small model's.
    """

    start: int
    drafted: int
    kept: int
    rolled_back: bool


def passes_of(runs: Iterator[Run]) -> Passes:
    """The passes of the large model: each checks what was drafted and emits what stands of it, and its own token."""
    made = list(runs)
    return Passes([run.kept + 1 for run in made], [run.drafted for run in made])


def runs(unsure: Sequence[bool], rejected: Sequence[bool], start: int, most: int) -> Iterator[Run]:
    """The runs of an answer from the place `start` on (Algorithm 1 of arXiv 2302.07863).

    At each place the small model is `unsure` or not, and its token `rejected` by the large one or not. A token of which
    it is unsure is drafted and discarded: the large model's stands there. After `most` tokens the large model's turn
    comes anyway. The first that it rejects goes, with all behind it.
    """
    at = start
    while at < len(unsure):
        end = min(at + most, len(unsure))
        stop = next((place for place in range(at, end) if unsure[place]), end)
        back = next((place for place in range(at, stop) if rejected[place]), None)
        kept = (stop if back is None else back) - at
        yield Run(at, stop - at + (stop < end), kept, back is not None)
        at += kept + 1


@dataclass(frozen=True, slots=True)
class FallbackRollback(Decoding):
    """BiLD's policy by what was recorded of a small model whose passes take what `draft` says.

    It decodes until its confidence in a token is below `fallback_below`, or for `lookahead` tokens. The large model
    then rejects tokens that surprise it by more than `rollback_above` nats. What was recorded supposes that the large
    model's own answer stands before each token: where a token of the small model's stands that the large one would not
    have said, what follows is taken as recorded all the same. The answer keeps its length.
    """

    draft: Profile
    fallback_below: float
    rollback_above: float
    lookahead: int = 10

    def __post_init__(self) -> None:
        check_lookahead(self.lookahead)
        if self.rollback_above < 0:
            raise ValueError(f"rollback_above must not be negative, got {self.rollback_above}")
        if not 0 <= self.fallback_below <= 1:
            raise ValueError(f"fallback_below must be a probability, got {self.fallback_below}")

    def runs(self, request: Request, emitted: int) -> Iterator[Run]:
        """What the two models do from the output token `emitted` on."""
        proposals = recorded(request)
        unsure = [one.confidence < self.fallback_below for one in proposals]
        rejected = [one.divergence > self.rollback_above for one in proposals]
        return runs(unsure, rejected, emitted, self.lookahead)

    def passes(self, request: Request, emitted: int) -> Passes:
        """The large model's passes, each after those of the small one."""
        return passes_of(self.runs(request, emitted))

    def priced(self, target: Profile) -> PricedProfile:
        """What steps of both models take."""
        return Drafted(target, self.draft)
