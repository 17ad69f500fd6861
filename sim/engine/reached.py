"""How far jobs had come before their KV was dropped: what they compute up to there they compute anew."""

from __future__ import annotations

from sim.job import Job


class Reached:
    """The tokens that jobs had once computed, of those whose prefill is not over; of the others their output tells."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens: dict[Job, int] = {}

    def anew(self, job: Job) -> int:
        """Tokens that `job`, which is granted its tokens by name, is to compute next and had computed before."""
        reached = self._tokens.get(job, 0)
        if job.base_emitted:
            reached = max(reached, job.given + job.base_emitted - 1 - _just_returned(job))
        return max(0, reached - job.base_computed)

    def note(self, job: Job, tokens: int) -> None:
        """`job`, whose prefill is not over, has computed so many."""
        if tokens > self._tokens.get(job, 0):
            self._tokens[job] = tokens

    def forget(self, job: Job) -> None:
        """The prefill of `job` is over, or its life."""
        self._tokens.pop(job, None)


def _just_returned(job: Job) -> int:
    """Tokens that its last call returned, if it has emitted none since."""
    last = job.true_pauses[job.calls - 1] if job.calls else None
    return last.returned if last is not None and last.emitted == job.base_emitted and job.paused is None else 0
