"""The slots of a policy: one decision each. The protocols live here, with their consumer; implementations elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from numbers import Integral
from typing import NamedTuple, Protocol

from sim.job import Job
from sim.prediction import Prediction
from sim.request import Request
from sim.step import Hold

Rank = float | tuple[float, ...]


class Order(Protocol):
    """Who goes first?

    An order may state a `horizon`: for how many steps the rank of a job that waits holds (1 by default; `math.inf`:
    as long as it waits, so that a queue may stay sorted).
    """

    def rank(self, job: Job, now: float) -> Rank:
        """A pure function of the job and the instant; smaller goes first; ties go by arrival, then id."""
        ...


class Phases(Enum):
    """What a step may hold, and who in it is served first."""

    MIXED = "mixed"  # all running jobs in the order of their admission, then new ones, as in vLLM's v1 scheduler
    DECODE_FIRST = "decode_first"  # decoding jobs, then prefills under way, then new ones, as in Sarathi-Serve
    EXCLUSIVE = "exclusive"  # the whole prefills of new jobs if any may enter, else only decoding, as in vLLM's V0


@dataclass(frozen=True, slots=True)
class Execution:
    """How a replica runs what its batching selected.

    `max_num_seqs`: jobs at a time. `max_num_batched_tokens`: tokens of a step (None: no bound).
    `long_prefill_token_threshold`: longest prefill chunk while others are there (0: no bound). `window`: how many
    waiting jobs, in rank order, the batching sees at a time. `reserve_output`: set KV aside at admission for the
    longest output that the client, or else the model, allows. `watermark`: share of the KV blocks that an admission
    leaves free while others run. `skip_unfit`: a waiting job that does not fit is passed over; otherwise admission
    stops at it. `static`: a batch that nobody joins, whose rows are all as wide as the widest, and that answers at its
    end (no first token is seen). Its KV grows with every token, as in a DynamicCache of transformers; how many rows it
    takes is said at `sim.engine.batch.Batch._padded`.
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
    static: bool = False

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_num_batched_tokens", "window"):
            value = getattr(self, name)
            if value is not None and (value < 1 or not isinstance(value, Integral)):
                raise ValueError(f"{name} must be {'positive' if value < 1 else 'a whole number'}, got {value}")
        if self.long_prefill_token_threshold < 0:
            raise ValueError(
                f"long_prefill_token_threshold must not be negative, got {self.long_prefill_token_threshold}"
            )
        if not 0 <= self.watermark < 1:
            raise ValueError(f"watermark must be a share in [0, 1), got {self.watermark}")
        if self.phases is Phases.EXCLUSIVE and (self.chunked_prefill or self.long_prefill_token_threshold):
            raise ValueError("phases=exclusive runs whole prefills: it needs chunked_prefill=false, and no threshold")
        if self.static and (self.reserve_output or self.max_num_batched_tokens is not None):
            raise ValueError("a static batch takes its KV as it goes: no reserve_output, and no max_num_batched_tokens")


class Batching(Protocol):
    """Who runs together?"""

    @property
    def execution(self) -> Execution:
        """How the replica runs the selection."""
        ...

    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """The waiting jobs to admit now, in the order of admission; asked while there is room for them.

        `waiting` holds the first `execution.window` waiting jobs in rank order; `running` is the engine's own, to read
        and not to keep, in admission order. If all that were shown enter it is asked again. An answer stands until a
        job comes or leaves, or ranks may change; a `Hold` may be the answer only if nothing runs.
        """
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


class Leg(NamedTuple):
    """A part of a request's life, on one replica (an index); a `prefill_only` leg ends with the first token."""

    replica: int
    prefill_only: bool = False


class ReplicaView(Protocol):
    """What a routing may see of a replica, as it is when it is asked."""

    name: str
    kind: str

    @property
    def jobs(self) -> int:
        """Jobs that wait or run."""
        ...

    @property
    def submitted(self) -> int:
        """Jobs that were ever sent here."""
        ...

    @property
    def free_blocks(self) -> int:
        """KV blocks that nobody holds."""
        ...

    def cached_tokens(self, job: Job) -> int:
        """Tokens at the start of the job's prompt whose KV is here already."""
        ...


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


class RefiningPredictor(Predictor, Protocol):
    """A predictor that learns from an answer under way; `Job.remaining` asks it."""

    def refine(self, request: Request, prediction: Prediction, emitted: int) -> float:
        """Tokens still to come after `emitted`, which are at least one; a pure function. `prediction` is the first."""
        ...


@dataclass(frozen=True, slots=True)
class Overhead:
    """What scheduling itself costs, charged to the clock.

    `decision_seconds` for each plan that admits or preempts jobs, `rank_seconds` for each rank computed, of jobs that
    wait and, in the search for a victim, of those that run. What an engine spends on every step, decision or not, is
    part of the profile.
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
