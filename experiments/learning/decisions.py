"""How many decisions a second the learning environment takes, on one core and on several, and what a learned one costs.

    tokenyard engine decisions
    taskset -c 0 env OMP_NUM_THREADS=1 tokenyard engine decisions --processes 1

Decisions are counted in the environment of `tokenyard learn`, chosen at random: alone, as gymnasium's asynchronous
vector environment of so many processes, and as whole episodes in as many, as `tokenyard learn` plays. The last line is
the time of the shipped network's routing for one request, what it sees of four replicas included: the number behind
policy.overhead.route_seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.run.inputs import build_cluster
from policies.routing.learned import Learned, load
from policies.routing.network import Network
from profiles.machine import cpu_name
from sim import Prediction, Request, Truth
from sim.job import Job

SHIPPED = "best_effort_hard_0.npz"


@dataclass(slots=True)
class Seen:
    """A replica as a routing sees it, which costs nothing to ask."""

    name: str
    model: str
    kind: str = "gpu"
    jobs: int = 3
    submitted: int = 9
    free_blocks: int = 1

    def submitted_within(self, seconds: float) -> int:
        return 9

    def cached_tokens(self, job: Job) -> int:
        return 0


def alone(decisions: int) -> float:
    """Decisions a second of one environment, after its first episode's beginning."""
    from experiments.learning.env import BestEffort

    env, rng, taken = BestEffort(), np.random.default_rng(0), 0
    start = time.perf_counter()
    while taken < decisions:
        env.reset(seed=taken)
        over = False
        while not over:
            over = env.step(int(rng.integers(env.action_space.n)))[2]
            taken += 1
    return taken / (time.perf_counter() - start)


def vectorised(decisions: int, processes: int) -> float:
    """Decisions a second of gymnasium's asynchronous vector environment."""
    import gymnasium

    from experiments.learning.env import ID, BestEffort

    models = len(BestEffort().features.models)
    envs = gymnasium.make_vec(ID, num_envs=processes, vectorization_mode="async")
    try:
        envs.reset(seed=0)
        rng = np.random.default_rng(0)
        start = time.perf_counter()
        steps = -(-decisions // processes)
        for _ in range(steps):
            envs.step(rng.integers(models, size=processes))
        return steps * processes / (time.perf_counter() - start)
    finally:
        envs.close()


def played(decisions: int, processes: int) -> float:
    """Decisions a second of whole episodes in processes, by a network of zeros with chance."""
    from experiments.learning.env import BestEffort, composed
    from experiments.learning.play import Task, players

    cfg = composed()
    features = BestEffort(cfg).features
    size, models = features.size, len(features.models)
    layer = np.zeros((size, models), np.float32), np.zeros(models, np.float32)
    nobody, taken, number = Network(features, (layer[0],), (layer[1],)), 0, 0
    with players(cfg, processes) as submit:
        submit(nobody, [Task(one, 1.0) for one in range(processes)])()  # the processes are there
        start = time.perf_counter()
        while taken < decisions:
            games = submit(nobody, [Task(number + one, 1.0) for one in range(8 * processes)])()
            number += 8 * processes
            taken += sum(len(game.chosen) for game in games)
        return taken / (time.perf_counter() - start)


def routing(learned: Learned, calls: int, repeats: int) -> float:
    """Processor seconds of one routing: the median over `repeats` of the mean of `calls`."""
    from experiments.learning.env import composed

    cluster = build_cluster(composed().cluster)
    views = tuple(Seen(device.name, device.model) for device in cluster.devices)
    request = Request(0, 0.0, 100, Truth(10), task=learned.network.features.tasks[0])
    job = Job(request, Prediction(10.0, 0.0))
    means = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            learned.route(job, views)
        means.append((time.process_time() - start) / calls)
    return statistics.median(means)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1, with one line on stderr, without gymnasium."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=20_000, help="of each measurement (default: 20,000)")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--processes", type=int, default=cores, help=f"that play at once (default: {cores}, the cores)")
    parser.add_argument("--network", default=SHIPPED, help=f"whose routing is timed (default: {SHIPPED})")
    options = parser.parse_args(arguments)
    for name in ("decisions", "processes"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    print(cpu_name(), file=sys.stderr)
    try:
        learned = load(options.network)
        found = {
            "one environment": alone(options.decisions),
            f"gymnasium's vector of {options.processes}": vectorised(options.decisions, options.processes),
            f"whole episodes in {options.processes} processes": played(options.decisions, options.processes),
        }
    except (ModuleNotFoundError, FileNotFoundError, ValueError) as error:
        print(f"tokenyard engine decisions: {error}", file=sys.stderr)
        return 1
    for name, rate in found.items():
        print(f"{name:36s} {rate:9.0f} decisions/s")
    print(f"{'policy.overhead.route_seconds':36s} {1e6 * routing(learned, 2000, 15):9.1f} us a request")
    return 0
