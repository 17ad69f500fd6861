"""The queues that a replica can be, each with its mean response in theory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from experiments.engine.golden import IterationTime
from experiments.engine.queueing import means, soap
from experiments.engine.queueing.calls import Calls
from experiments.engine.queueing.guess import Guess
from experiments.engine.queueing.laws import Law
from experiments.engine.queueing.told import Told, discretized
from policies.batching.continuous import Continuous
from policies.batching.preemptive import Preemptive
from policies.batching.trail import Trail
from policies.order.fifo import FIFO
from policies.order.gittins import Gittins
from policies.order.least_attained import LeastAttained
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.order.srpt import SRPT
from policies.order.tail import Tail
from policies.predictor.oracle import OraclePredictor
from sim.policy import Batching, Order, Predictor

TOKENS = 1000  # of a job of the mean size
QUANTUM = 100  # tokens of FB, whose mean is within 0.6 % of that by quanta that vanish, at loads up to 0.9
EVERYBODY = 1 << 20  # jobs at a time: no bound


@dataclass(frozen=True)
class Discipline:
    """The parts that make a replica such a queue, and its mean response in theory."""

    exact: means.Mean
    order: Order = field(default_factory=FIFO)
    batching: Batching = field(default_factory=lambda: places(1))
    predictor: Callable[[int, Law], Predictor] = lambda seed, law: OraclePredictor()
    step: IterationTime = field(default_factory=lambda: IterationTime(fixed=1.0, per_token=0.0))
    servers: int = 1
    calls: Calls | None = None  # in the midst of the jobs: the mean is then of what is left of responses without them
    luck: float | None = math.exp(-1)  # the mean of exp(-predicted / true size); None: predictions are all alike
    effort: float = 1.0  # requests of a run, as a share of those of others: more where they cost little or vary much
    heavy: float = 2.0  # times as many where sizes vary much


def by_quanta(law: Law, load: float) -> float:
    """The mean under FB by quanta."""
    return means.fb_by_quanta(QUANTUM / TOKENS * law.mean)(law, load)


def places(number: int) -> Continuous:
    """A batch of at most so many jobs."""
    return Continuous(number, max_num_batched_tokens=None)


def guessing(seed: int, law: Law) -> Predictor:
    """The least that can be known of each size."""
    return Guess(seed)


def telling(seed: int, law: Law) -> Predictor:
    """The law, by points as far apart as the quanta of FB."""
    return Told(discretized(law, TOKENS, QUANTUM))


def limited(c: float) -> dict[str, Discipline]:
    """The shortest predicted remaining time first, no preemption from a share `c` of the prediction on: two rows.

    Its parts are those of `policy=trail`.
    """
    parts = SRPT(), Trail(1, max_num_batched_tokens=None, share=c)
    return {
        f"SPRPT {c}": Discipline(means.limited(c), *parts),
        f"SPRPT {c} guessed": Discipline(means.limited_by_guess(c), *parts, predictor=guessing, luck=0.5, effort=1.5),
    }


BY_SIZE = SJF(ServiceTime(phi=0.0, eta=1.0))
ONE_AT_A_TIME = Preemptive(1, max_num_batched_tokens=None)
IN_TURN = IterationTime(fixed=0.0, per_token=1.0)
SHARES = 0.0, 0.2, 0.5, 0.8, 1.0
DISCIPLINES = {
    "FCFS": Discipline(means.fcfs, effort=2.0),
    "SJF": Discipline(means.sjf, BY_SIZE, effort=2.0),
    "PSJF": Discipline(means.psjf, BY_SIZE, ONE_AT_A_TIME),
    "SRPT": Discipline(means.srpt, SRPT(), ONE_AT_A_TIME),
    "FB": Discipline(by_quanta, LeastAttained(QUANTUM), ONE_AT_A_TIME, heavy=1.0),
    "Gittins": Discipline(soap.gittins, Gittins(), ONE_AT_A_TIME, telling, luck=None, heavy=1.0),
    "PS": Discipline(means.ps, batching=places(EVERYBODY), step=IN_TURN, effort=3.0),
    "FCFS, calls": Discipline(means.among_calls, Tail(), calls=Calls("H2"), effort=3.0),
    "PS, calls": Discipline(
        means.ps, batching=places(EVERYBODY), step=IN_TURN, calls=Calls("Uniform"), effort=2.0, heavy=1.5
    ),
    **{name: queue for c in SHARES for name, queue in limited(c).items()},
    "M/M/4": Discipline(means.erlang_c(4), batching=places(4), servers=4, effort=5.0),
    "M/M/16": Discipline(means.erlang_c(16), batching=places(16), servers=16, effort=5.0),
    "M/G/infinity": Discipline(means.no_queue, batching=places(EVERYBODY), servers=EVERYBODY),
}
