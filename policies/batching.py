"""The two classic batchings: static batches that run to completion, and continuous batching."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sim.job import Job
from sim.policy import Execution, Phases
from sim.step import Hold


def static_execution(batch_size: int, window: int) -> Execution:
    """A padded batch that runs to completion and answers at its end (Hugging Face `generate`)."""
    return Execution(max_num_seqs=batch_size, window=window, static=True)


def oldest_deadline(waiting: Sequence[Job], max_wait: float) -> float:
    """When the job that waited longest has waited `max_wait` seconds."""
    return min(job.queued for job in waiting if job.queued is not None) + max_wait


@dataclass(frozen=True, slots=True)
class Static:
    """Static batching: the first `batch_size` jobs run, padded, until the last is complete.

    A batch that is not full waits until its oldest member has waited `max_wait` seconds.
    """

    batch_size: int
    max_wait: float = 0.0
    execution: Execution = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.max_wait >= 0:
            raise ValueError(f"max_wait must not be negative, got {self.max_wait}")
        object.__setattr__(self, "execution", static_execution(self.batch_size, self.batch_size))

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """The next batch, when it is full or has waited long enough."""
        until = oldest_deadline(waiting, self.max_wait)
        if len(waiting) < self.batch_size and now < until:
            return Hold(until)
        return waiting


@dataclass(frozen=True, slots=True)
class Continuous:
    """Continuous batching with paged KV and chunked prefill, as vLLM's v1 scheduler does it.

    The defaults are vLLM's own fall-backs for a bare scheduler config (max_num_batched_tokens 2048, max_num_seqs 128).
    `phases`, `reserve_output` and `watermark` make other engines of it: see `sim.policy.Execution` and the yaml files.
    """

    max_num_seqs: int = 128
    max_num_batched_tokens: int | None = 2048
    chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    phases: str = "mixed"
    reserve_output: bool = False
    watermark: float = 0.0
    execution: Execution = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.phases not in (known := [phases.value for phases in Phases]):
            raise ValueError(f"phases must be {', '.join(known)}, got {self.phases!r}")
        execution = Execution(
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            chunked_prefill=self.chunked_prefill,
            long_prefill_token_threshold=self.long_prefill_token_threshold,
            phases=Phases(self.phases),
            reserve_output=self.reserve_output,
            watermark=self.watermark,
        )
        object.__setattr__(self, "execution", execution)

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job]:
        """Whoever is next."""
        return waiting
