"""Whole episodes, played in processes of their own: alike, however many processes there are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from experiments.learning.env import BestEffort
from policies.routing.features import Numbers
from policies.routing.network import Network

Chooser = Callable[[Numbers], int]


@dataclass(frozen=True, eq=False)
class Played:
    """An episode, a row a decision: what was seen, what was chosen, and what it was worth.

    `credited` is the reward of the request that the decision routed, `stepped` that of all that left before the next,
    `peak` the best that the request could be worth.
    """

    drawn: dict[str, Any]
    seen: Numbers
    chosen: NDArray[np.int64]
    credited: Numbers
    stepped: Numbers
    peak: Numbers

    @property
    def performance(self) -> float:
        """Reward over the best there could be."""
        return float(self.credited.sum() / self.peak.sum())


def play(env: BestEffort, choose: Chooser, seed: int, options: Mapping[str, Any] | None = None) -> Played:
    """An episode of `env`, drawn by `seed`, in which `choose` answers."""
    seen, drawn = env.reset(seed=seed, options=dict(options or {}))
    rows, chosen, stepped = [], [], []
    credited: dict[int, float] = {}
    over = False
    while not over:
        rows.append(seen)
        chosen.append(choose(seen))
        seen, reward, over, _, info = env.step(chosen[-1])
        stepped.append(reward)
        credited.update(info["left"])
    table = np.stack(rows)
    peaks = np.array([env.reward.peak(task) for task in env.features.tasks], np.float32)
    return Played(
        drawn,
        table,
        np.array(chosen),
        np.array([credited[number] for number in range(len(rows))], np.float32),
        np.array(stepped, np.float32),
        table[:, : len(peaks)] @ peaks,
    )


def greedy(network: Network, epsilon: float = 0.0, seed: int = 0) -> Chooser:
    """Whoever chooses the model of the highest value, and any, with probability `epsilon`."""
    rng = np.random.default_rng(seed)
    models = len(network.features.models)

    def choose(seen: Numbers) -> int:
        if epsilon and rng.random() < epsilon:
            return int(rng.integers(models))
        return int(network.values(seen).argmax())

    return choose


@dataclass(frozen=True)
class Task:
    """An episode to be played: its seed, what is fixed of it, and how often chance chooses."""

    seed: int
    epsilon: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()


_envs: list[BestEffort] = []  # of a process that plays


def _begin(yaml: str) -> None:
    cfg = OmegaConf.create(yaml)
    assert isinstance(cfg, DictConfig)
    _envs[:] = [BestEffort(cfg)]


def _play(network: Network, task: Task) -> Played:
    return _played(_envs[0], network, task)


def _played(env: BestEffort, network: Network, task: Task) -> Played:
    return play(env, greedy(network, task.epsilon, task.seed), task.seed, dict(task.options))


Submit = Callable[[Network, Sequence[Task]], Callable[[], list[Played]]]


@contextmanager
def players(cfg: DictConfig, processes: int) -> Iterator[Submit]:
    """A function that has episodes played, and returns one that waits for them, in the order in which they were given.

    With one process they are played when they are waited for.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    if processes == 1:
        env = BestEffort(cfg)
        yield lambda network, tasks: partial(_each, env, network, tasks)
        return
    yaml = OmegaConf.to_yaml(cfg, resolve=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (yaml,)) as pool:
        yield partial(_submit, pool)
        pool.shutdown(cancel_futures=True)


def _each(env: BestEffort, network: Network, tasks: Sequence[Task]) -> list[Played]:
    return [_played(env, network, task) for task in tasks]


def _submit(pool: Executor, network: Network, tasks: Sequence[Task]) -> Callable[[], list[Played]]:
    futures: list[Future[Played]] = [pool.submit(_play, network, task) for task in tasks]
    return lambda: [future.result() for future in futures]
