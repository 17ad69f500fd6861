"""The two ways in which a replica runs what its batching selected; the words are Orca's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from numbers import Integral


class Phases(Enum):
    """What a step may hold, and who in it is served first."""

    MIXED = "mixed"  # all running jobs in the order of their admission, then new ones, as in vLLM's v1 scheduler
    DECODE_FIRST = "decode_first"  # decoding jobs, then prefills under way, then new ones, as in Sarathi-Serve
    EXCLUSIVE = "exclusive"  # the whole prefills of new jobs if any may enter, else only decoding, as in vLLM's V0
    BY_RANK = "by_rank"  # running and waiting jobs in the order of rank; who runs and gets nothing stops, as in LTR


@dataclass(frozen=True, slots=True)
class IterationLevel:
    """Jobs join and leave at every step: continuous batching.

    `max_num_seqs`: jobs at a time. `max_num_batched_tokens`: tokens of a step (None: no bound).
    `long_prefill_token_threshold`: longest prefill chunk while others are there (0: no bound). `window`: how many
    waiting jobs, in rank order, the batching sees at a time. `reserve_output`: set KV aside at admission for the
    longest output that the client, or else the model, allows. `watermark`: share of the KV blocks that an admission
    leaves free while others run. `skip_unfit`: a waiting job that does not fit is passed over; otherwise admission
    stops at it. `plans_ahead`: 0, a step is decided when the one before it has ended; 1, when that one begins, as
    vLLM's asynchronous scheduling does it: the device finds its next step ready, and who comes is seen a step later.
    """

    max_num_seqs: int
    max_num_batched_tokens: int | None = None
    chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    phases: Phases = Phases.MIXED
    window: int = 1
    reserve_output: bool = False
    watermark: float = 0.0
    skip_unfit: bool = False
    plans_ahead: int = 0

    def __post_init__(self) -> None:
        check_counts(self, "max_num_seqs", "max_num_batched_tokens", "window")
        if self.long_prefill_token_threshold < 0:
            raise ValueError(
                f"long_prefill_token_threshold must not be negative, got {self.long_prefill_token_threshold}"
            )
        if not 0 <= self.watermark < 1:
            raise ValueError(f"watermark must be a share in [0, 1), got {self.watermark}")
        if self.phases is Phases.EXCLUSIVE and (self.chunked_prefill or self.long_prefill_token_threshold):
            raise ValueError("phases=exclusive runs whole prefills: it needs chunked_prefill=false, and no threshold")
        for name in ("chunked_prefill", "reserve_output", "skip_unfit"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        for name in ("long_prefill_token_threshold", "plans_ahead"):
            if isinstance(value := getattr(self, name), Integral):
                object.__setattr__(self, name, int(value))
        if self.plans_ahead not in (0, 1):
            raise ValueError(f"plans_ahead must be 0 or 1, got {self.plans_ahead}")
        if self.plans_ahead and self.phases is not Phases.MIXED:
            raise ValueError(f"plans_ahead=1 needs phases=mixed, as vLLM's v1 scheduler: got {self.phases.value}")

    @property
    def longest_prefill(self) -> float:
        """Tokens that a job may have to compute anew, prompt and output, and still be served."""
        budget = self.max_num_batched_tokens
        return math.inf if budget is None or self.chunked_prefill else budget

    def kv_tokens(self, total: int, allowed: int) -> int:
        """KV tokens that a leg of `total` tokens takes, prompt and output, of which `allowed` are possible.

        The last is emitted and never computed, and needs no KV unless it is set aside.
        """
        return allowed if self.reserve_output else total - 1


class Until(Enum):
    """When a batch that nobody joins is over."""

    LAST = "last"  # when its last row is complete
    FIRST = "first"  # when its first row is: the others wait again, with what they have


@dataclass(frozen=True, slots=True)
class RequestLevel:
    """A batch that nobody joins: its rows, all as wide as the widest, run `until` the last, or first, is complete.

    It answers at its end, so no first token is seen. `max_num_seqs`: rows at most; how many it takes is said at
    `sim.engine.static`. `window`: how many waiting jobs, in rank order, the batching sees at a time. Its KV grows with
    every token, as in a DynamicCache of transformers.
    """

    max_num_seqs: int
    window: int
    until: Until = Until.LAST

    def __post_init__(self) -> None:
        check_counts(self, "max_num_seqs", "window")

    @property
    def longest_prefill(self) -> float:
        """As in `IterationLevel`: no bound."""
        return math.inf

    def kv_tokens(self, total: int, allowed: int) -> int:
        """As in `IterationLevel`: all that is computed."""
        return total - 1


Execution = IterationLevel | RequestLevel


def check_counts(execution: Execution, *names: str) -> None:
    """Make each of these fields Python's own integer; ValueError unless it is a positive whole number, or None."""
    for name in names:
        value = getattr(execution, name)
        if value is not None and (value < 1 or not isinstance(value, Integral)):
            raise ValueError(f"{name} must be {'positive' if value < 1 else 'a whole number'}, got {value}")
        if value is not None:
            object.__setattr__(execution, name, int(value))
