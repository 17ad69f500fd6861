"""What steps take of a decoder whose jobs have several tokens in flight, each at another repetition of some layers."""

from __future__ import annotations

from dataclasses import dataclass

from sim import Line, Profile, Step


@dataclass(frozen=True, slots=True)
class InFlight:
    """`deep` is all repetitions, and `group` one: a decode step is a pass of that over every token in flight.

    Each token in flight reads the KV of its own repetition, as much as the one that is owed. Prompts go through all
    repetitions; where they share a step with decoding, what it saves is as `group` says.
    """

    deep: Profile
    group: Profile

    @property
    def uneven(self) -> bool:
        """See `sim.Profile`."""
        return self.deep.uneven or self.group.uneven

    def step_time(self, step: Step) -> float:
        """See `sim.Profile`."""
        if not step.decode_jobs:
            return self.deep.step_time(step)
        line = self.decode_line(step.decode_jobs, step.decode_context, step.decode_longest, step.proposed_tokens)
        seconds = line.base + line.slope * step.decode_context
        others = step._replace(decode_jobs=0, decode_context=0, decode_longest=0, proposed_tokens=0, rounds=0)
        if step.moved_tokens or step.prefill_tokens:
            seconds += self.deep.step_time(others)
        if step.prefill_tokens:
            rows = step.decode_jobs + step.proposed_tokens
            decode = Step(
                decode_jobs=rows,
                decode_context=step.decode_context * rows // step.decode_jobs,
                decode_longest=step.decode_longest,
            )
            prefill = others._replace(moved_tokens=0)
            both = prefill._replace(**{name: getattr(decode, name) for name in DECODING})
            seconds -= self.group.step_time(prefill) + self.group.step_time(decode) - self.group.step_time(both)
        return seconds

    def decode_line(self, jobs: int, context: int, longest: int = 0, proposed: int = 0, rounds: int = 0) -> Line:
        """See `sim.PricedProfile`."""
        share = (jobs + proposed) / jobs
        line = self.group.decode_line(jobs + proposed, round(context * share), longest)
        return Line(line.base, line.slope * share, line.until / share, line.since / share)


DECODING = ("decode_jobs", "decode_context", "decode_longest")
