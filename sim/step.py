"""One forward pass: the work it does on a device, and the question how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


def attended_tokens(new: int, computed: int) -> int:
    """Context tokens that `new` tokens attend to when `computed` tokens stand before them (each attends to itself)."""
    return new * computed + new * (new + 1) // 2


@dataclass(frozen=True, slots=True)
class Step:
    """The work of one forward pass, as a device sees it; all fields are tokens, but `decode_jobs`.

    `prefill_attended` is the sum, over the prefill tokens, of the context that each attends to; `decode_context` the
    sum of the decoding jobs' contexts; `moved_tokens` the tokens whose KV is copied between device and host.
    """

    prefill_tokens: int = 0
    prefill_attended: int = 0
    decode_jobs: int = 0
    decode_context: int = 0
    moved_tokens: int = 0


class Profile(Protocol):
    """How long a step takes on one device with one model."""

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; raises ValueError where the profile says nothing about such a step."""
        ...


@dataclass(frozen=True, slots=True)
class Hold:
    """Run nothing now; ask again at `until` (seconds) or when a job arrives, whichever is first."""

    until: float


Row = tuple[int, int]
"""One job's part in a step: tokens that the step computes, and tokens computed before it."""

Layout = Callable[[Iterable[Row], int], Step]
"""How a batch's rows (and the KV tokens moved for it) become the work of a step."""


def ragged(rows: Iterable[Row], moved_tokens: int = 0) -> Step:
    """Each row costs its own length, as in an engine with paged attention (vLLM)."""
    prefill_tokens = prefill_attended = decode_jobs = decode_context = 0
    for new, computed in rows:
        if new == 1:
            decode_jobs += 1
            decode_context += computed + 1
        else:
            prefill_tokens += new
            prefill_attended += attended_tokens(new, computed)
    return Step(prefill_tokens, prefill_attended, decode_jobs, decode_context, moved_tokens)


def padded(rows: Iterable[Row], moved_tokens: int = 0) -> Step:
    """Every row costs as much as the widest, as in a padded static batch (Hugging Face `generate`)."""
    table = tuple(rows)
    widest = (max(new for new, _ in table), max(computed for _, computed in table))
    return ragged((widest,) * len(table), moved_tokens)
