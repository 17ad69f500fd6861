"""The engine against queueing theory: one job at a time, a step a token, so that service is output length."""

import functools

import numpy as np
import pytest
from conftest import LinearProfile, make_device, make_policy, make_requests
from scipy import stats

from policies.batching import Continuous
from policies.fifo import FIFO
from policies.predictors.oracle import OraclePredictor
from policies.service_time import ServiceTime
from policies.sjf import SJF
from sim import Cluster, simulate
from sim.metrics import inside, measured_window, response_time

STEP = 0.05  # s a token: sizes are whole steps, and short beside the mean service of 1 s
RUNS, JOBS = 8, 2000


@functools.cache
def mean_response(order, sizes_of, rate: float, servers: int = 1) -> np.ndarray:
    """The mean response time (s) of each of RUNS independent runs, after a warm-up of a fifth."""
    means = []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(1 / rate, JOBS))
        tokens = np.maximum(1, np.round(sizes_of(rng, JOBS) / STEP))
        device = make_device(profile=LinearProfile(fixed=STEP, per_token=0.0))
        policy = make_policy(order=order, batching=Continuous(max_num_seqs=servers))
        requests = make_requests(arrivals, np.ones(JOBS), tokens)
        table = simulate(requests, policy, Cluster((device,)), OraclePredictor()).requests
        means.append(response_time(inside(table, measured_window(table, 0.2))).mean())
    return np.array(means)


def agrees(means: np.ndarray, exact: float, slack: float) -> bool:
    """Whether `exact` lies in the 99 % interval of the runs' mean, widened by `slack` (s) for the discretisation."""
    half = stats.t.ppf(0.995, len(means) - 1) * stats.sem(means)
    return abs(means.mean() - exact) <= half + slack


EXPONENTIAL = lambda rng, n: rng.exponential(1.0, n)  # noqa: E731
CONSTANT = lambda rng, n: np.ones(n)  # noqa: E731
UNIFORM = lambda rng, n: rng.uniform(0, 2, n)  # noqa: E731
BY_LENGTH = SJF(ServiceTime(phi=0.0, eta=1.0))


@pytest.mark.parametrize(
    ("order", "sizes", "rate", "exact"),
    [
        (FIFO(), EXPONENTIAL, 0.5, 2.0),
        (FIFO(), CONSTANT, 0.8, 1 + 0.8 / (2 * 0.2)),
        (FIFO(), UNIFORM, 0.5, 1.6667),
        (BY_LENGTH, EXPONENTIAL, 0.5, 1.7127),
        (BY_LENGTH, UNIFORM, 0.8, 2.7637),
    ],
    ids=["M/M/1", "M/D/1", "M/G/1", "SJF exponential", "SJF uniform"],
)
def test_one_server(order, sizes, rate, exact):
    assert agrees(mean_response(order, sizes, rate), exact, slack=2 * STEP)


def test_many_servers_are_erlang_c():
    rate, servers = 3.0, 4
    load = rate / servers
    terms = [(servers * load) ** k / np.prod(np.arange(1, k + 1)) for k in range(servers)]
    last = (servers * load) ** servers / np.prod(np.arange(1, servers + 1)) / (1 - load)
    wait = last / (sum(terms) + last) / (servers - rate)
    assert agrees(mean_response(FIFO(), EXPONENTIAL, rate, servers), 1 + wait, slack=2 * STEP)


def test_the_check_can_fail():
    assert not agrees(mean_response(BY_LENGTH, UNIFORM, 0.8), 3.6667, slack=2 * STEP)
