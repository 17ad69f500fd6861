"""The two classic batchings: static batches that run to completion, and continuous batching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.job import Job
from sim.policy import Execution
from sim.step import Hold, padded


def static_execution(batch_size: int, window: int) -> Execution:
    """A padded batch that runs to completion and answers at its end (Hugging Face `generate`)."""
    return Execution(max_num_seqs=batch_size, window=window, layout=padded, reserve_output=True, streams=False)


def oldest_deadline(waiting: Sequence[Job], max_wait: float) -> float:
    """When the job that waited longest has waited `max_wait` seconds."""
    return min(job.queued for job in waiting if job.queued is not None) + max_wait


def retire_together(running: tuple[Job, ...]) -> tuple[Job, ...]:
    """All of a static batch, once its last member is complete."""
    return running if all(job.complete for job in running) else ()


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

    def select(self, waiting: tuple[Job, ...], running: tuple[Job, ...], now: float) -> Sequence[Job] | Hold:
        """The running batch; else the next one, when it is full or has waited long enough."""
        if running or not waiting:
            return running
        until = oldest_deadline(waiting, self.max_wait)
        if len(waiting) < self.batch_size and now < until:
            return Hold(until)
        return waiting

    def retire(self, running: tuple[Job, ...]) -> Sequence[Job]:
        """Everybody, at the end."""
        return retire_together(running)


@dataclass(frozen=True, slots=True)
class Continuous:
    """Continuous batching with paged KV and chunked prefill, as vLLM's v1 scheduler does it.

    The defaults are vLLM's own fall-backs for a bare scheduler config (max_num_batched_tokens 2048, max_num_seqs 128).
    """

    max_num_seqs: int = 128
    max_num_batched_tokens: int = 2048
    chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    execution: Execution = field(init=False, repr=False)

    def __post_init__(self) -> None:
        execution = Execution(
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            chunked_prefill=self.chunked_prefill,
            long_prefill_token_threshold=self.long_prefill_token_threshold,
            window=self.max_num_seqs,
        )
        object.__setattr__(self, "execution", execution)

    def select(self, waiting: tuple[Job, ...], running: tuple[Job, ...], now: float) -> Sequence[Job]:
        """Everybody: running jobs first, in admission order, then the waiting ones."""
        return running + waiting

    def retire(self, running: tuple[Job, ...]) -> Sequence[Job]:
        """Each job when it is complete."""
        return [job for job in running if job.complete]
