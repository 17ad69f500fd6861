"""BiLD as its code has it (kssteven418/BigLittleDecoder, T5BiLDModel [R]), where that departs from Algorithm 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policies.decoding.fallback_rollback import FallbackRollback, Run, runs
from policies.decoding.proposals import recorded
from sim import Request


@dataclass(frozen=True, slots=True)
class FallbackRollbackReleased(FallbackRollback):
    """After a rollback the large model runs once more, alone; one to the small model's own token is left out.

    Left out means that of such a run all tokens stand, for only the first that surprises the large model is looked at.
    """

    def runs(self, request: Request, emitted: int) -> Iterator[Run]:
        """What the two models do from the output token `emitted` on."""
        proposals, at = recorded(request), emitted
        unsure = [one.confidence < self.fallback_below for one in proposals]
        surprising = [one.divergence > self.rollback_above for one in proposals]
        while at < len(proposals):
            run = next(runs(unsure, surprising, at, self.lookahead))
            if run.rolled_back and proposals[at + run.kept].agrees:
                run = next(runs(unsure, [False] * len(proposals), at, self.lookahead))
            yield run
            at += run.kept + 1
            if run.rolled_back and at < len(proposals):
                yield Run(at, 0, 0, False)
                at += 1
