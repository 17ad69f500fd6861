"""A profile whose steps also wait for the host that plans them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sim.device import HostTime
from sim.step import Line, Profile, Step


@dataclass(frozen=True, slots=True)
class Hosted:
    """`device`, and before each of its steps the seconds of `host`: that is what a planner does that waits for them."""

    device: Profile
    host: HostTime

    @property
    def uneven(self) -> bool:
        """As the device."""
        return self.device.uneven

    def step_time(self, step: Step) -> float:
        """Seconds of the host and of the device."""
        if step.decode_jobs and not (step.prefill_tokens or step.moved_tokens or step.rank_tokens):
            proposals = (step.proposed_tokens, step.rounds) if step.rounds else ()
            line = self.decode_line(step.decode_jobs, step.decode_context, step.decode_longest, *proposals)
            return line.base + line.slope * step.decode_context
        return self._both(self.device.step_time(step), self.host.seconds(step.decode_jobs + step.prefill_jobs))

    def decode_line(self, jobs: int, context: int, longest: int = 0, *proposals: int) -> Line:
        """The device's line, with the host's seconds."""
        line = _line(self.device, jobs, context, longest, *proposals)
        return Line(line.base + self.host.seconds(jobs), line.slope, line.until, line.since)

    def _both(self, device: float, host: float) -> float:
        return device + host


@dataclass(frozen=True, slots=True)
class Hidden(Hosted):
    """The host plans the next step while the device is at this one: a step takes as long as the slower of both."""

    def decode_line(self, jobs: int, context: int, longest: int = 0, *proposals: int) -> Line:
        """The device's line as far as that is the slower; before it the host's seconds."""
        line, host = _line(self.device, jobs, context, longest, *proposals), self.host.seconds(jobs)
        if line.base + line.slope * line.until <= host or (not line.slope and line.base <= host):
            return Line(host, 0.0, line.until, line.since)
        if not line.slope or line.base + line.slope * line.since >= host:
            return line
        turn = math.ceil((host - line.base) / line.slope)  # the device's from there on, but for the last bits
        while line.base + line.slope * turn < host:
            turn += 1
        while line.base + line.slope * (turn - 1) >= host:
            turn -= 1
        if context >= turn:
            return Line(line.base, line.slope, line.until, turn)
        return Line(host, 0.0, turn - 1, line.since)

    def _both(self, device: float, host: float) -> float:
        return max(device, host)


def _line(device: Any, *step: int) -> Line:
    """The line of `device`; only a `PricedProfile` is asked for that of steps with proposals."""
    line: Line = device.decode_line(*step)
    return line


def hosted(profile: Profile, host: HostTime | None, plans_ahead: int) -> Profile:
    """`profile` with the seconds of `host`, if any, which are hidden where a step is planned ahead."""
    if host is None or host == HostTime():
        return profile
    return Hidden(profile, host) if plans_ahead else Hosted(profile, host)
