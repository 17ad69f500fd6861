"""The engine against queueing theory: a step gives each running job a token, so sizes are whole numbers of steps.

`python tests/sim/test_theory.py` prints what the tests check: for each law and load the exact mean response, and the
simulated one with its standard error.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from policies.batching.continuous import Continuous
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.sjf import SJF
from policies.predictor.oracle import OraclePredictor
from sim import Cluster, Tables, simulate
from sim.metrics import inside, measured_window, response_time
from sim.policy import Order
from tests.conftest import LinearProfile, make_device, make_policy, make_requests

MEAN = 1000  # steps: the mean size of every law. A step is 1 / MEAN s, so that a job alone is served in 1 s on average
STEP = 1 / MEAN  # s; what waiting for a step to end adds, half of it, is below a thousandth of any response
RUNS, JOBS = 20, 4000
WARM_UP = 0.1  # share of the arrivals' span
EVERYBODY = 1 << 20  # jobs at a time: no bound
BY_LENGTH = SJF(ServiceTime(phi=0.0, eta=1.0))

Law = NDArray[np.float64]  # the probability of each size: 1, 2, ... steps


def geometric(mean: float) -> Law:
    """The exponential law of whole steps, cut off at twelve means; its own mean is that of what is left."""
    chances = (1 - 1 / mean) ** np.arange(int(12 * mean)) / mean
    return chances / chances.sum()


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


ALIKE = LinearProfile(fixed=STEP, per_token=0.0)  # a step takes as long for many jobs as for one
IN_TURN = LinearProfile(fixed=0.0, per_token=STEP)  # a step takes as long as its jobs one after the other


@dataclass(frozen=True)
class Queue:
    """A queue whose mean response theory knows, and the replica that is that queue."""

    name: str
    law: str
    rate: float  # arrivals/s
    theory: Callable[[Law, float], float]
    slots: int = 1
    order: Order = FIFO()  # noqa: RUF009
    profile: LinearProfile = ALIKE

    @property
    def exact(self) -> float:
        """The mean response in theory, s."""
        return self.theory(LAWS[self.law], self.rate)


ONE_SERVER = [
    Queue("M/M/1", "exponential", 0.5, first_come),
    Queue("M/M/1", "exponential", 0.7, first_come),
    Queue("M/D/1", "constant", 0.5, first_come),
    Queue("M/D/1", "constant", 0.8, first_come),
    Queue("M/G/1", "uniform", 0.5, first_come),
    Queue("M/G/1 SJF", "exponential", 0.5, shortest_first, order=BY_LENGTH),
    Queue("M/G/1 SJF", "uniform", 0.8, shortest_first, order=BY_LENGTH),
]
MANY_SERVERS = [
    Queue("M/M/4", "exponential", 2.8, erlang_c(4), slots=4),
    Queue("M/M/16", "exponential", 12.8, erlang_c(16), slots=16),
    Queue("M/G/infinity", "exponential", 8.0, no_queue, slots=EVERYBODY),
    Queue("M/G/infinity", "hyperexponential", 8.0, no_queue, slots=EVERYBODY),
]
SHARED = [
    Queue("M/G/1-PS", "exponential", 0.5, shared, slots=EVERYBODY, profile=IN_TURN),
    Queue("M/G/1-PS", "constant", 0.5, shared, slots=EVERYBODY, profile=IN_TURN),
    Queue("M/G/1-PS", "hyperexponential", 0.5, shared, slots=EVERYBODY, profile=IN_TURN),
    Queue("M/G/1-PS", "uniform", 0.8, shared, slots=EVERYBODY, profile=IN_TURN),
]
QUEUES = [*ONE_SERVER, *MANY_SERVERS, *SHARED]


def serve(queue: Queue, arrivals: NDArray, sizes: NDArray) -> Tables:
    """What the replica does with jobs of these arrivals (s) and sizes (steps)."""
    device = make_device(profile=queue.profile, kv_tokens=1 << 40, max_model_len=1 << 20)
    policy = make_policy(order=queue.order, batching=Continuous(queue.slots, max_num_batched_tokens=None))
    requests = make_requests(arrivals, np.ones(len(sizes)), sizes)
    return simulate(requests, policy, Cluster((device,)), OraclePredictor())


def drawn(queue: Queue, seed: int, jobs: int = JOBS) -> tuple[NDArray, NDArray]:
    """Arrivals (s) and sizes (steps) of one run."""
    rng = np.random.default_rng([seed, *f"{queue.name} {queue.law} {queue.rate}".encode()])
    arrivals = np.cumsum(rng.exponential(1 / queue.rate, jobs))
    return arrivals, 1 + np.searchsorted(np.cumsum(LAWS[queue.law])[:-1], rng.random(jobs), "right")


@functools.cache
def means(queue: Queue) -> tuple[float, float]:
    """The mean response (s) of independent runs after a warm-up, and its standard error.

    By chance a run draws jobs that come faster, or are longer, than the law says. What is known of it is taken out: the
    runs' means are regressed on their mean gap and mean size, to where those are the law's (control variates).
    """
    rows, responses = [], []
    for seed in range(RUNS):
        arrivals, sizes = drawn(queue, seed)
        table = serve(queue, arrivals, sizes).requests
        measured = inside(table, measured_window(table, WARM_UP))
        gap, size = np.diff(measured["arrival"]).mean(), STEP * measured["output_tokens"].mean()
        rows.append((1.0, gap * queue.rate - 1, size - moment(LAWS[queue.law], 1)))
        responses.append(response_time(measured).mean())
    controls = np.array(rows)[:, : 2 if queue.law == "constant" else 3]
    fit, squares, rank, _ = np.linalg.lstsq(controls, responses)
    spread = np.linalg.inv(controls.T @ controls)[0, 0] * squares[0] / (RUNS - rank)
    return float(fit[0]), float(np.sqrt(spread))


def agrees(queue: Queue, exact: float) -> bool:
    """Whether `exact` is within 1 % of the simulated mean response, or within two standard errors."""
    mean, error = means(queue)
    return abs(mean - exact) <= max(0.01 * exact, 2 * error)


every_queue = pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: f"{queue.name} {queue.law} {queue.rate}")


@every_queue
def test_the_mean_response_is_that_of_theory(queue):
    assert agrees(queue, queue.exact)


@every_queue
def test_the_runs_are_long_enough_to_tell(queue):
    mean, error = means(queue)
    assert error < 0.03 * mean


def test_the_check_can_fail():
    by_length = next(queue for queue in QUEUES if queue.order is BY_LENGTH and queue.law == "uniform")
    assert not agrees(by_length, first_come(LAWS["uniform"], by_length.rate))
    in_turn = next(queue for queue in SHARED if queue.law == "hyperexponential")
    assert not agrees(in_turn, first_come(LAWS["hyperexponential"], in_turn.rate))


def test_the_formulas_give_the_values_of_the_literature():
    """Of continuous laws at the load 0.8, from integrals; our sizes are whole steps, each a thousandth of the mean."""
    found = [
        first_come(LAWS["exponential"], 0.8),
        first_come(LAWS["uniform"], 0.8),
        first_come(LAWS["hyperexponential"], 0.8),
        shortest_first(LAWS["exponential"], 0.8),
        shortest_first(LAWS["uniform"], 0.8),
        shared(LAWS["hyperexponential"], 0.8),
    ]
    assert found == pytest.approx([5.0, 3.6667, 12.1111, 2.8821, 2.7637, 5.0], rel=0.003)
    assert erlang_c(1)(LAWS["exponential"], 0.5) == pytest.approx(2.0, rel=0.001)


def replayed(arrivals: NDArray, seconds: NDArray, servers: int) -> NDArray:
    """Each job's response (s) where so many servers serve first come, first served (Kiefer and Wolfowitz)."""
    free = [0.0] * servers
    responses = []
    for arrival, service in zip(arrivals.tolist(), seconds.tolist(), strict=True):
        finish = max(arrival, heapq.heappop(free)) + service
        heapq.heappush(free, finish)
        responses.append(finish - arrival)
    return np.array(responses)


@pytest.mark.parametrize("law", LAWS)
def test_one_server_answers_each_job_when_lindley_says(law):
    queue = Queue("M/G/1", law, 0.9, first_come)
    arrivals, sizes = drawn(queue, 0, jobs=2000)
    tables = serve(queue, arrivals, sizes)
    assert response_time(tables.requests) == pytest.approx(replayed(arrivals, sizes * STEP, 1), abs=1e-8)
    assert tables.iterations == sizes.sum()  # it works as long as there is work, and no longer


@pytest.mark.parametrize("queue", [queue for queue in MANY_SERVERS if queue.slots < EVERYBODY], ids=str)
def test_many_servers_answer_each_job_within_a_step_of_what_a_queue_of_their_own_says(queue):
    arrivals, sizes = drawn(queue, 0, jobs=4000)
    late = response_time(serve(queue, arrivals, sizes).requests) - replayed(arrivals, sizes * STEP, queue.slots)
    assert late.min() > -1e-8
    assert late.max() < STEP + 1e-8


def main() -> None:
    print(f"{'queue':14} {'sizes':17} {'arrivals/s':>10} {'exact':>9} {'simulated':>9} {'s.e.':>7} {'relative':>9}")
    for queue in QUEUES:
        mean, error = means(queue)
        off = f"{mean / queue.exact - 1:+.2%}"
        print(f"{queue.name:14} {queue.law:17} {queue.rate:10} {queue.exact:9.4f} {mean:9.4f} {error:7.4f} {off:>9}")


if __name__ == "__main__":
    main()
