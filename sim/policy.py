"""The slots of a policy: one decision each. Said here, beside those who ask them; implementations are elsewhere."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from sim.execution import Execution
from sim.job import Job
from sim.overhead import Overhead
from sim.prediction import Prediction
from sim.request import Request
from sim.step import Hold

Rank = float | tuple[float, ...]


class Stands(NamedTuple):
    """For how long a rank need not be asked anew: until the first of these.

    `instant` is in seconds; `tokens` are output tokens that the job itself will emit, `steps` those of its replica.
    """

    instant: float = math.inf
    tokens: float = math.inf
    steps: float = math.inf


ALWAYS, THIS_STEP = Stands(), Stands(steps=1)


class Order(ABC):
    """Who goes first?"""

    __slots__ = ()

    @property
    def fixed(self) -> bool:
        """Whether ranks stand as long as a job waits: then nobody who waits is asked for, or noted of, again."""
        return isinstance(self, FixedOrder)

    @abstractmethod
    def rank(self, job: Job, now: float) -> Rank:
        """A pure function of the job and the instant; smaller goes first; ties go by arrival, then id."""

    def stands(self, job: Job, now: float) -> Stands:
        """For how long the rank that `job` has at `now` stands, a pure function: after `now` (s), a token, a step.

        Until then it does not change while the job waits, and may only fall while it runs. A rank that falls for all
        alike is better written without that common part, so that it stands.
        """
        return THIS_STEP


class FixedOrder(Order):
    """An order whose ranks stand as long as a job waits, which nobody asks; `stands` is asked of those that run."""

    __slots__ = ()

    def stands(self, job: Job, now: float) -> Stands:
        """Always."""
        return ALWAYS


class NotingOrder(Order):
    """An order that remembers something of each job: its level, how long it was served there."""

    __slots__ = ()

    @abstractmethod
    def note(self, job: Job, now: float, steps: int) -> object:
        """What is kept as `job.note` from `now` (s) on: a pure function of the job, its last note, instant and `steps`.

        Those are the steps that the replica has begun so far. Asked before each rank that is computed of a job that
        waits, and just before it begins (`job.runs` is false) or ceases to run (true); None is the note of a job that
        has come just now. Asked too when a call of the job is over, while `job.paused` still says since when (s): what
        has passed since the last note, it neither ran nor waited.
        """


class Short(Enum):
    """What a waiting job lacks."""

    SEATS = "seats"
    TOKENS = "tokens"
    BLOCKS = "blocks"


class Running(Protocol):
    """The jobs that run, by rank: to read and not to keep."""

    def __iter__(self) -> Iterator[Job]:
        """Those that may be stopped: all but those that were admitted in this very step."""

    def rank(self, job: Job) -> Rank:
        """The rank that `job` has now, whether it runs or waits."""

    def outranked(self, incoming: Job) -> Job | None:
        """The last of them in rank, if `incoming` ranks before it; equal ranks leave each other alone."""


class Batching(ABC):
    """Who runs together? `execution` says how the replica runs the selection."""

    __slots__ = ()
    execution: Execution

    @abstractmethod
    def select(self, waiting: tuple[Job, ...], running: Collection[Job], now: float) -> Sequence[Job] | Hold:
        """The waiting jobs to admit now, in the order of admission; asked while there is room for them.

        `waiting` holds the first `execution.window` waiting jobs in rank order; `running` is the engine's own, to read
        and not to keep, in admission order. If all that were shown enter it is asked again. An answer stands until a
        job comes or leaves, ranks may change, or the instant `select_stands`; a `Hold` may be the answer only if
        nothing runs.
        """

    def select_stands(self, waiting: tuple[Job, ...], now: float) -> float:
        """Until which instant (s), later than `now`, the answer of `select` stands though nobody comes or leaves."""
        return math.inf

    def victim(self, incoming: Job, running: Running, lacks: Short, now: float) -> Job | None:
        """The running job that stops for the sake of `incoming`, a selected job that `lacks` something; None: nobody.

        Asked until `incoming` can enter, and of a batching with a `victim` of its own alone. Such a one, as one that
        serves by rank, is asked to `select` although seats or tokens are short. An answer of None stands until a job
        comes or leaves, ranks stand no longer, or a rank worsens: so ranks of running jobs may improve without a
        question.
        """
        return None


class Keep(Enum):
    """What becomes of the KV of a job that will not run now."""

    KEEP = "keep"
    DROP = "drop"
    SWAP = "swap"


class Cause(Enum):
    """Why a job gives way."""

    PRESSURE = "pressure"  # its memory is needed
    OUTRANKED = "outranked"  # another takes its place
    PAUSE = "pause"  # it calls out, and waits for what comes back


class Load(NamedTuple):
    """KV blocks of a replica's memory and of its host's (infinite without a bound), and how many jobs run there.

    `leaving` blocks of the device's come free when copies to the host end that are under way. Those that run have
    computed `running_tokens` of context, and have `pending_tokens` to compute next: one each that decodes. Copies under
    way bring `returning_tokens` back from the host.
    """

    free_blocks: int
    total_blocks: int
    running: int
    free_on_host: float = math.inf
    total_on_host: float = math.inf
    leaving: int = 0
    block_size: int = 1
    running_tokens: int = 0
    pending_tokens: int = 0
    returning_tokens: int = 0

    def blocks(self, tokens: int) -> int:
        """Those that so many tokens take."""
        return -(-tokens // self.block_size)


class Review(NamedTuple):
    """What is to become of the KV of jobs that do not run, in this order; asked again after `steps` at the latest.

    SWAP sends what is on the device to the host, KEEP brings it back, DROP frees it wherever it is.
    """

    moves: Sequence[tuple[Job, Keep]] = ()
    steps: float = math.inf


class Eviction(ABC):
    """What becomes of the KV of a job that will not run now?"""

    __slots__ = ()

    @abstractmethod
    def on_stop(self, job: Job, cause: Cause, load: Load, now: float) -> Keep:
        """DROP the KV of `job` (it is recomputed), SWAP it to the host or KEEP it where it is.

        KEEP is no answer to PRESSURE, which comes over jobs that run and over those that wait, or call out, with their
        KV kept. A job that calls out has its `paused` set, since when, s.
        """

    def foresee(self, job: Job, load: Load, now: float) -> Keep | None:
        """What is to become of its KV when `job` calls next, kept as `job.foreseen` for whoever ranks it; None: unsaid.

        Asked, of an eviction with a `foresee` of its own alone, when `job` has come, and when a call has returned: at
        the beginning of the next plan. What becomes of it in truth is asked when the time has come.
        """
        return None

    def review(self, idle: Sequence[Job], jobs: Sequence[Job], load: Load, now: float) -> Review:
        """What is to become of the KV of those who wait or call out with some, `job.blocks` or `job.host_tokens`.

        They are `idle`, those with blocks first, a job that calls out (`job.paused` says since when) only while it has
        KV. `jobs` are all that are here: those that run, in admission order, those that wait, in rank order, those
        whose KV is under way, and those that call out, in the order in which they began; both are to be looked at
        before the answer. Asked at the beginning of each plan while anybody is idle, of an eviction with a `review` of
        its own alone. The answer stands for as many steps as it says, unless a job comes or leaves, calls or returns.
        """
        return Review()


class Leg(NamedTuple):
    """A part of a request's life, on one replica (an index); a `prefill_only` leg ends with the first token."""

    replica: int
    prefill_only: bool = False


class ReplicaView(Protocol):
    """What a routing may see of a replica, as it is when it is asked. `model` is the name of that on it."""

    name: str
    kind: str
    model: str

    @property
    def jobs(self) -> int:
        """Jobs that wait, run or call out."""

    @property
    def submitted(self) -> int:
        """Jobs that were ever sent here."""

    def submitted_within(self, seconds: float) -> int:
        """Those of them that were sent in the last so many seconds."""

    @property
    def free_blocks(self) -> int:
        """KV blocks that nobody holds."""

    def cached_tokens(self, job: Job) -> int:
        """Tokens at the start of the job's prompt whose KV is here already."""


class Routing(Protocol):
    """Where?"""

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """The legs of a job's life in their order, all with one model; several are disaggregation, none a rejection."""


class Predictor(ABC):
    """How long will the answer be?"""

    __slots__ = ()

    @abstractmethod
    def predict(self, request: Request) -> Prediction:
        """A prediction from what is known at arrival, with the seconds that making it took."""

    def refine(self, request: Request, prediction: Prediction, emitted: int) -> float:
        """Tokens still to come after `emitted`, which are at least one; a pure function. `prediction` is the first.

        `Job.remaining` asks for it; a predictor that learns from an answer under way says more than this.
        """
        left = prediction.length - emitted
        return left if left > 0.0 else 0.0

    def refined_at(self, emitted: int) -> float:
        """After how many tokens `refine` may next say that more is to come than it says after `emitted`."""
        return math.inf

    def renew(self, request: Request, prediction: Prediction, calls: int) -> Prediction:
        """What is said anew when the first `calls` calls of `request` have returned; a pure function.

        By default what was said before, free of charge; the `seconds` of another prediction pass before the job waits.
        """
        return prediction


@dataclass(frozen=True, slots=True)
class Policy:
    """Four decisions, and what making them costs."""

    order: Order
    batching: Batching
    routing: Routing
    eviction: Eviction
    overhead: Overhead = field(default_factory=Overhead)
