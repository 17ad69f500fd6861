"""The engine against queueing theory: mean response times, simulated and exact, of queues that a replica can be.

    tokenyard engine theory                              # 15 queues, 20 runs of 10,000 requests each: a minute
    tokenyard engine theory --requests 500 --rows 4      # the first four, by shorter runs
    tokenyard engine theory --json                       # an object a line

A step gives each running job a token, so that the size of a job is a whole number of steps; a step is a thousandth of
the mean size, 1 s. Where a step takes as long for many jobs as for one, the places of a batch are so many servers
(M/M/1, M/D/1, M/G/1, M/M/k, M/G/infinity); where it takes as long as its jobs in turn, they share one processor (PS).
SJF knows the sizes. The load is that of a server; of M/G/infinity, the jobs that are there at a time.

Seeds are fixed: the same command prints the same. Exit code 1 if an exact mean is not in the 99 % interval of the
simulated one; under other settings that happens to one in a hundred by chance.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from tqdm import tqdm

from experiments.engine.golden import IterationTime
from policies.batching.continuous import Continuous
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Policy, Request, Tables, Truth, simulate
from sim.metrics import inside, measured_window, response_time
from sim.policy import Order

MEAN = 1000  # steps: the mean size under every law
STEP = 1 / MEAN  # s; what waiting for a step to end adds, half of it, is below a thousandth of any response
WARM_UP = 0.1  # share of the arrivals' span
EVERYBODY = 1 << 20  # jobs at a time: no bound
CONFIDENCE = 0.99  # of each of the 15 intervals
ORDERS: dict[str, Order] = {"FIFO": FIFO(), "SJF": SJF(ServiceTime(phi=0.0, eta=1.0)), "PS": FIFO()}

COLUMNS = "{:13} {:17} {:>4}  {:6} {:>9} {:>7} {:>17} {:>8}  {}"

Floats = NDArray[np.float64]
Law = Floats  # the probability of each size: 1, 2, ... steps


def geometric(mean: float) -> Law:
    """The exponential law of whole steps, cut off at twelve means; its own mean is that of what is left."""
    chances = (1 - 1 / mean) ** np.arange(int(12 * mean)) / mean
    return np.asarray(chances / chances.sum())


def hyperexponential() -> Law:
    """Nine in ten are short and one in ten is long; each kind makes half of the work."""
    law = 0.1 * geometric(5 * MEAN)
    short = 0.9 * geometric(MEAN / 1.8)
    law[: len(short)] += short
    return law


LAWS: dict[str, Law] = {
    "exponential": geometric(MEAN),
    "constant": np.eye(MEAN)[MEAN - 1],
    "uniform": np.full(2 * MEAN - 1, 1 / (2 * MEAN - 1)),
    "hyperexponential": hyperexponential(),
}


def moment(law: Law, power: int) -> float:
    """The mean of the size (s) to a power."""
    return float(law @ (STEP * np.arange(1, len(law) + 1)) ** power)


def first_come(law: Law, rate: float) -> float:
    """One server: Pollaczek and Khinchine."""
    return moment(law, 1) + rate * moment(law, 2) / (2 * (1 - rate * moment(law, 1)))


def shortest_first(law: Law, rate: float) -> float:
    """One server without preemption, each size a class of its own: Cobham."""
    sizes = STEP * np.arange(1, len(law) + 1)
    load = rate * np.cumsum(law * sizes)
    below = np.concatenate([[0.0], load[:-1]])
    return float(law @ (sizes + rate * moment(law, 2) / (2 * (1 - below) * (1 - load))))


def erlang_c(servers: int) -> Callable[[Law, float], float]:
    """So many servers; unless all are idle a job waits for the end of the step under way, half a step on average."""

    def mean(law: Law, rate: float) -> float:
        work = rate * moment(law, 1)
        last = work**servers / math.factorial(servers) / (1 - work / servers)
        idle = 1 / (sum(work**jobs / math.factorial(jobs) for jobs in range(servers)) + last)
        wait = last * idle / (servers - work) * moment(law, 1)
        return moment(law, 1) + wait + STEP / 2 * (1 - idle)

    return mean


def no_queue(law: Law, rate: float) -> float:
    """A server for each job; unless all are idle a job waits for the end of the step under way."""
    return moment(law, 1) + STEP / 2 * (1 - math.exp(-rate * moment(law, 1)))


def shared(law: Law, rate: float) -> float:
    """One processor, shared: the mean is the same for every law of sizes with one mean."""
    return moment(law, 1) / (1 - rate * moment(law, 1))


@dataclass(frozen=True)
class Queue:
    """A queue whose mean response theory knows, and the replica that is that queue."""

    law: str  # Kendall's notation
    sizes: str
    load: float
    theory: Callable[[Law, float], float]
    policy: str = "FIFO"
    servers: int = 1

    @property
    def rate(self) -> float:
        """Arrivals/s."""
        return self.load if self.servers == EVERYBODY else self.load * self.servers

    @property
    def exact(self) -> float:
        """The mean response in theory, s."""
        return self.theory(LAWS[self.sizes], self.rate)

    def drawn(self, seed: int, requests: int) -> tuple[Floats, NDArray[np.int64]]:
        """Arrivals (s) and sizes (steps) of one run."""
        rng = np.random.default_rng([seed, *f"{self.law} {self.policy} {self.sizes} {self.load}".encode()])
        arrivals = np.cumsum(rng.exponential(1 / self.rate, requests))
        return arrivals, 1 + np.searchsorted(np.cumsum(LAWS[self.sizes])[:-1], rng.random(requests), "right")

    def serve(self, arrivals: Floats, sizes: NDArray[np.int64]) -> Tables:
        """What the replica does with requests of these arrivals (s) and sizes (steps)."""
        sharing = self.policy == "PS"
        step = IterationTime(fixed=0.0, per_token=STEP) if sharing else IterationTime(fixed=STEP, per_token=0.0)
        batching = Continuous(EVERYBODY if sharing else self.servers, max_num_batched_tokens=None)
        requests = [
            Request(number, arrival, 1, Truth(size))
            for number, (arrival, size) in enumerate(zip(arrivals.tolist(), sizes.tolist(), strict=True))
        ]
        device = Device("gpu", "gpu", step, kv_tokens=1 << 40, max_model_len=EVERYBODY)
        policy = Policy(ORDERS[self.policy], batching, LeastLoaded(), Recompute())
        return simulate(requests, policy, Cluster((device,)), OraclePredictor())


QUEUES = [
    Queue("M/M/1", "exponential", 0.5, first_come),
    Queue("M/M/1", "exponential", 0.7, first_come),
    Queue("M/D/1", "constant", 0.5, first_come),
    Queue("M/D/1", "constant", 0.8, first_come),
    Queue("M/G/1", "uniform", 0.5, first_come),
    Queue("M/G/1", "exponential", 0.5, shortest_first, policy="SJF"),
    Queue("M/G/1", "uniform", 0.8, shortest_first, policy="SJF"),
    Queue("M/M/4", "exponential", 0.7, erlang_c(4), servers=4),
    Queue("M/M/16", "exponential", 0.8, erlang_c(16), servers=16),
    Queue("M/G/infinity", "exponential", 8.0, no_queue, servers=EVERYBODY),
    Queue("M/G/infinity", "hyperexponential", 8.0, no_queue, servers=EVERYBODY),
    Queue("M/G/1", "exponential", 0.5, shared, policy="PS"),
    Queue("M/G/1", "constant", 0.5, shared, policy="PS"),
    Queue("M/G/1", "hyperexponential", 0.5, shared, policy="PS"),
    Queue("M/G/1", "uniform", 0.8, shared, policy="PS"),
]


@dataclass(frozen=True)
class Comparison:
    """The mean response of a `queue` as simulated, s, from independent runs; its error has so many `degrees`."""

    queue: Queue
    simulated: float
    standard_error: float
    degrees: int

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the simulated mean, s."""
        half = float(stdtrit(self.degrees, 0.5 + CONFIDENCE / 2)) * self.standard_error
        return self.simulated - half, self.simulated + half

    def verdict(self, exact: float) -> str:
        """Whether an `exact` mean (s) is in the interval."""
        low, high = self.interval
        return "agrees" if low <= exact <= high else "differs"

    def as_text(self) -> str:
        """One line of the table."""
        queue, (low, high) = self.queue, self.interval
        simulated, error, exact = (f"{value:.4f}" for value in (self.simulated, self.standard_error, queue.exact))
        found = simulated, error, f"{low:.4f} to {high:.4f}", exact, self.verdict(queue.exact)
        return COLUMNS.format(queue.law, queue.sizes, queue.load, queue.policy, *found)

    def as_json(self) -> str:
        """One line."""
        queue = self.queue
        named = {"law": f"{queue.law}, {queue.sizes} sizes", "load": queue.load, "policy": queue.policy}
        found = {"simulated": self.simulated, "standard_error": self.standard_error, "interval": self.interval}
        return json.dumps({**named, **found, "exact": queue.exact})


def one_run(queue: int, seed: int, requests: int) -> tuple[float, float, float]:
    """Of one run of QUEUES[queue] after the warm-up: the mean response (s), gap (s) and size (s)."""
    table = QUEUES[queue].serve(*QUEUES[queue].drawn(seed, requests)).requests
    measured = inside(table, measured_window(table, WARM_UP))
    gap, size = np.diff(measured["arrival"]).mean(), STEP * measured["output_tokens"].mean()
    return float(response_time(measured).mean()), float(gap), float(size)


def compared(queue: Queue, runs: Sequence[tuple[float, float, float]]) -> Comparison:
    """The mean over the `runs` of `queue`.

    By chance a run draws jobs that come faster, or are longer, than the law says. What is known of it is taken out: the
    runs' means are regressed on their mean gap and mean size, to where those are the law's (control variates).
    """
    responses, gaps, sizes = np.array(runs).T
    known = [np.ones(len(runs)), gaps * queue.rate - 1, sizes - moment(LAWS[queue.sizes], 1)]
    controls = np.stack(known[: 2 if queue.sizes == "constant" else 3], axis=1)
    fit, squares, rank, _ = np.linalg.lstsq(controls, responses)
    degrees = len(runs) - int(rank)
    spread = np.linalg.inv(controls.T @ controls)[0, 0] * squares[0] / degrees
    return Comparison(queue, float(fit[0]), float(np.sqrt(spread)), degrees)


def comparisons(rows: int, runs: int, requests: int) -> Iterator[Comparison]:
    """The first `rows` of QUEUES, each by so many runs of so many requests; a process a core."""
    tasks = list(itertools.product(range(min(rows, len(QUEUES))), range(runs)))
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = pool.map(one_run, *zip(*tasks, strict=True), itertools.repeat(requests))
        shown = tqdm(found, desc="theory", unit="run", total=len(tasks))
        for number, together in itertools.groupby(zip(tasks, shown, strict=True), key=lambda one: one[0][0]):
            yield compared(QUEUES[number], [run for _, run in together])


def main(argv: list[str] | None = None) -> int:
    """Print the table, or a JSON object a line; 1 if something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=len(QUEUES), help="the first so many queues (default: all)")
    parser.add_argument("--requests", type=int, default=10_000, help="of each run (default: 10000)")
    parser.add_argument("--runs", type=int, default=20, help="independent runs of each queue (default: 20)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of the table")
    options = parser.parse_args(argv)
    for name, least in (("rows", 1), ("requests", 20), ("runs", 4)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    if not options.json:
        print(
            COLUMNS.format("law", "sizes", "load", "policy", "simulated", "s.e.", "99 % interval", "exact", "verdict")
        )
    differing = False
    for row in comparisons(options.rows, options.runs, options.requests):
        tqdm.write(row.as_json() if options.json else row.as_text())
        differing |= row.verdict(row.queue.exact) == "differs"
    return 1 if differing else 0
