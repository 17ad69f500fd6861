"""The slots of a policy: one decision each. The protocols live here, with their consumer; implementations elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from sim.job import Job
from sim.request import Prediction, Request
from sim.step import Hold, Layout, ragged

Rank = float | tuple[float, ...]


class Order(Protocol):
    """Who goes first?

    An order may state a `horizon`: for how many steps a rank holds (1 by default; `math.inf`: a rank never changes).
    """

    def rank(self, job: Job, now: float) -> Rank:
        """A pure function of the job and the instant; smaller goes first; ties go by arrival, then id."""
        ...


def is_static(order: Order) -> bool:
    """Whether the ranks of `order` never change, so that a queue may stay sorted."""
    return getattr(order, "horizon", 1) == math.inf


@dataclass(frozen=True, slots=True)
class Execution:
    """How a replica runs what its batching selected.

    `max_num_seqs`: jobs at a time. `max_num_batched_tokens`: tokens of a step (None: no bound).
    `long_prefill_token_threshold`: longest prefill chunk while others are there (0: no bound). `window`: how many
    waiting jobs, in rank order, the batching sees. `reserve_output`: set KV aside at admission for the longest output
    that the client allows. `streams`: a token is the client's when it is computed; otherwise the whole answer comes at
    the end. `skip_unfit`: a waiting job that does not fit is passed over; otherwise admission stops at it.
    """

    max_num_seqs: int
    max_num_batched_tokens: int | None = None
    chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    window: int = 0
    layout: Layout = ragged
    reserve_output: bool = False
    streams: bool = True
    skip_unfit: bool = False

    def __post_init__(self) -> None:
        if self.max_num_seqs < 1:
            raise ValueError(f"max_num_seqs must be positive, got {self.max_num_seqs}")
        if self.max_num_batched_tokens is not None and self.max_num_batched_tokens < 1:
            raise ValueError(f"max_num_batched_tokens must be positive, got {self.max_num_batched_tokens}")
        if self.long_prefill_token_threshold < 0:
            raise ValueError(
                f"long_prefill_token_threshold must not be negative, got {self.long_prefill_token_threshold}"
            )
        if self.window < 1:
            raise ValueError(f"window must be positive, got {self.window}")


class Batching(Protocol):
    """Who runs together, and until when?"""

    @property
    def execution(self) -> Execution:
        """How the replica runs the selection."""
        ...

    def select(self, waiting: tuple[Job, ...], running: tuple[Job, ...], now: float) -> Sequence[Job] | Hold:
        """The jobs to serve in the next step, in the order of service; waiting ones among them are admitted.

        `waiting` holds the first `execution.window` waiting jobs in rank order; `running` stands in admission order.
        """
        ...

    def retire(self, running: tuple[Job, ...]) -> Sequence[Job]:
        """The running jobs that leave now; asked whenever a job has emitted its last token."""
        ...


class Keep(Enum):
    """What becomes of the KV of a job that will not run now."""

    DROP = "drop"
    SWAP = "swap"


class Eviction(Protocol):
    """What becomes of the KV of a job that will not run now?"""

    def on_pressure(self, job: Job) -> Keep:
        """`job` is preempted for want of memory: DROP its KV (to be recomputed) or SWAP it to the host."""
        ...


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a request's life, on one replica (an index); a `prefill_only` leg ends with the first token."""

    replica: int
    prefill_only: bool = False


class ReplicaView(NamedTuple):
    """What a routing may see of a replica."""

    name: str
    kind: str
    waiting: int
    running: int
    free_blocks: int


class Routing(Protocol):
    """Where?"""

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """The legs of the job's life in their order; several are disaggregation, none is a rejection."""
        ...


class Predictor(Protocol):
    """How long will the answer be?"""

    def predict(self, request: Request) -> Prediction:
        """A prediction from what is known at arrival, with the seconds that making it took."""
        ...


@dataclass(frozen=True, slots=True)
class Overhead:
    """What scheduling itself costs, charged to the clock.

    `decision_seconds` for each plan that admits or preempts jobs, `rank_seconds` for each rank computed. What an engine
    spends on every step, decision or not, is part of the profile.
    """

    decision_seconds: float = 0.0
    rank_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not (self.decision_seconds >= 0 and self.rank_seconds >= 0):
            raise ValueError(f"overheads must not be negative, got {self.decision_seconds} and {self.rank_seconds} s")


@dataclass(frozen=True, slots=True)
class Policy:
    """Four decisions, and what making them costs."""

    order: Order
    batching: Batching
    routing: Routing
    eviction: Eviction
    overhead: Overhead = field(default_factory=Overhead)
