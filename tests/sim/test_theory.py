"""The engine against queueing theory: a step gives each running job a token, so sizes are whole numbers of steps.

`tokenyard engine theory` makes the same comparisons from longer runs.
"""

import heapq
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.engine import theory
from experiments.engine.theory import (
    EVERYBODY,
    LAWS,
    QUEUES,
    STEP,
    Comparison,
    Queue,
    comparisons,
    erlang_c,
    first_come,
    shared,
    shortest_first,
)
from sim.metrics import response_time

MANY_SERVERS = [queue for queue in QUEUES if 1 < queue.servers < EVERYBODY]


@pytest.fixture(scope="module")
def found() -> dict[Queue, Comparison]:
    return {row.queue: row for row in comparisons(len(QUEUES), runs=10, requests=1000)}


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: f"{queue.law} {queue.sizes} {queue.load} {queue.policy}")
def test_the_mean_response_is_that_of_theory(found, queue):
    assert found[queue].verdict(queue.exact) == "agrees"
    assert found[queue].standard_error < 0.07 * queue.exact


def test_the_check_can_fail(found):
    """What differs from first come, first served, by more than a fifth of its mean is told from it."""
    otherwise = {queue: first_come(LAWS[queue.sizes], queue.rate) for queue in QUEUES if queue.servers == 1}
    told = {queue for queue, mean in otherwise.items() if found[queue].verdict(mean) == "differs"}
    far = {queue for queue, mean in otherwise.items() if abs(mean - queue.exact) > 0.2 * queue.exact}
    assert [(queue.policy, queue.sizes) for queue in QUEUES if queue in far] == [
        ("SJF", "uniform"), ("PS", "constant"), ("PS", "hyperexponential"), ("PS", "uniform"),
    ]  # fmt: skip
    assert far <= told


def test_the_command_prints_a_json_object_a_line(capsys):
    assert theory.main(["--json", "--rows", "2", "--requests", "300", "--runs", "5"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    keys = ["law", "load", "policy", "simulated", "standard_error", "interval", "exact"]
    assert [list(row) for row in rows] == [keys, keys]
    assert [(row["law"], row["load"]) for row in rows] == [("M/M/1, exponential sizes", load) for load in (0.5, 0.7)]
    assert all(row["interval"][0] < row["simulated"] < row["interval"][1] for row in rows)


def test_the_command_says_what_differs(capsys, monkeypatch):
    wrong = [Comparison(queue, off * queue.exact, 0.01, 17) for queue, off in zip(QUEUES, (1.0, 1.1), strict=False)]
    monkeypatch.setattr(theory, "comparisons", lambda *settings: wrong)
    assert theory.main([]) == 1
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["verdict", "agrees", "differs"]


def test_a_setting_that_is_too_small_is_named(capsys):
    with pytest.raises(SystemExit):
        theory.main(["--runs", "3"])
    assert "--runs must be at least 4, got 3" in capsys.readouterr().err


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
    arrivals, sizes = queue.drawn(seed=0, requests=2000)
    tables = queue.serve(arrivals, sizes)
    assert response_time(tables.requests) == pytest.approx(replayed(arrivals, sizes * STEP, 1), abs=1e-8)
    assert tables.iterations == sizes.sum()  # it works as long as there is work, and no longer


@pytest.mark.parametrize("queue", MANY_SERVERS, ids=lambda queue: queue.law)
def test_many_servers_answer_each_job_within_a_step_of_what_a_queue_of_their_own_says(queue):
    arrivals, sizes = queue.drawn(seed=0, requests=4000)
    late = response_time(queue.serve(arrivals, sizes).requests) - replayed(arrivals, sizes * STEP, queue.servers)
    assert late.min() > -1e-8
    assert late.max() < STEP + 1e-8
