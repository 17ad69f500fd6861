"""What a step takes in which a small model proposes tokens, one by one, and the large one checks them at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim import Line, Profile, Step


@dataclass(frozen=True, slots=True)
class Drafted:
    """A profile made of two: `target`'s, the large model's, and `draft`'s, the small one's, on the same device.

    A step has `rounds` passes of the small model, in each of which as many jobs draft as on average, proposed / rounds,
    and then one pass of the large one over a token for each job and those that were proposed, which reads each job's KV
    once. Prompts go through both. Implements `sim.PricedProfile`; without proposals or prompts a step takes what
    `target` says. The KV of the small model is not counted in the device's.
    """

    target: Profile
    draft: Profile

    @property
    def uneven(self) -> bool:
        """Whether either asks for the longest of the decoding jobs' contexts."""
        return self.target.uneven or self.draft.uneven

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; ValueError where either profile says nothing about its part."""
        jobs, context, longest = step.decode_jobs, step.decode_context, step.decode_longest
        proposed, rounds = step.proposed_tokens, step.rounds
        if jobs and not (step.prefill_tokens or step.moved_tokens):
            line = self.decode_line(jobs, context, longest, proposed, rounds)
            return line.base + line.slope * context
        checked = step._replace(decode_jobs=jobs + proposed, proposed_tokens=0, rounds=0)
        seconds = self.target.step_time(checked)
        if step.prefill_tokens:
            prompts = step._replace(decode_jobs=0, decode_context=0, decode_longest=0, moved_tokens=0)
            seconds += self.draft.step_time(prompts._replace(proposed_tokens=0, rounds=0))
        if proposed:
            line = self._drafting(jobs, context, longest, proposed, rounds)
            seconds += line.base + line.slope * context
        return seconds

    def decode_line(self, jobs: int, context: int, longest: int = 0, proposed: int = 0, rounds: int = 0) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context: the drafting, and the check."""
        check = self.target.decode_line(jobs + proposed, context, longest)
        if not proposed:
            return check
        draft = self._drafting(jobs, context, longest, proposed, rounds)
        until, since = min(check.until, draft.until), max(check.since, draft.since)
        return Line(check.base + draft.base, check.slope + draft.slope, until, since)

    def _drafting(self, jobs: int, context: int, longest: int, proposed: int, rounds: int) -> Line:
        """Seconds of the small model's passes as a function of the jobs' total context, as evenly wide as can be."""
        if not 1 <= rounds <= proposed <= rounds * jobs:
            raise ValueError(f"{jobs} jobs cannot be proposed {proposed} tokens in {rounds} rounds")
        narrow, wider = divmod(proposed, rounds)
        base, slope, until, since = 0.0, 0.0, math.inf, 0.0
        for width, times in ((narrow, rounds - wider), (narrow + 1, wider)):
            if not times:
                continue
            share, grown = width / jobs, width * (rounds - 1) / 2  # the mean of what its jobs have drafted before
            line = self.draft.decode_line(width, round(share * context + grown), longest)
            base += times * (line.base + line.slope * grown)
            slope += times * line.slope * share
            until = min(until, (line.until - grown) / share)
            since = max(since, (line.since - grown) / share)
        return Line(base, slope, max(until, context), min(since, context))
