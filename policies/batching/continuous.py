"""Continuous batching."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.execution import IterationLevel, Phases
from sim.foregone import Unselective


@dataclass(frozen=True, slots=True)
class Continuous(Unselective):
    """Continuous batching with paged KV and chunked prefill, as vLLM's v1 scheduler does it.

    The defaults are vLLM's own fall-backs for a bare scheduler config (max_num_batched_tokens 2048, max_num_seqs 128).
    `phases`, `reserve_output` and `watermark` make other engines of it: see `sim.IterationLevel`, and the yaml files.
    """

    max_num_seqs: int = 128
    max_num_batched_tokens: int | None = 2048
    chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    phases: str = "mixed"
    reserve_output: bool = False
    watermark: float = 0.0
    plans_ahead: int = 0
    execution: IterationLevel = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.phases not in (known := [phases.value for phases in Phases]):
            raise ValueError(f"phases must be {', '.join(known)}, got {self.phases!r}")
        execution = IterationLevel(
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            chunked_prefill=self.chunked_prefill,
            long_prefill_token_threshold=self.long_prefill_token_threshold,
            phases=Phases(self.phases),
            reserve_output=self.reserve_output,
            watermark=self.watermark,
            plans_ahead=self.plans_ahead,
        )
        object.__setattr__(self, "execution", execution)
