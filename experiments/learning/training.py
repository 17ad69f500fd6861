"""Training in rounds: episodes are played with the network as it was, then it is updated; kept so that it goes on."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.learning.dqn import DoubleDQN
from experiments.learning.env import range_of
from experiments.learning.play import Played, Submit, Task
from experiments.learning.replay import Replay
from experiments.learning.settings import Settings
from policies.routing.features import Features
from policies.routing.network import Network

TRAINING, HELD_OUT, DRAWS = 1, 2, 3  # streams of random numbers, which never meet


def seed_of(*entropy: int) -> int:
    """A seed of its own for each sequence of numbers."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def held_out(cfg: DictConfig, workloads: Iterable[str]) -> list[Task]:
    """Episodes that judge a network: of each workload, at `evaluation.rates` rates spread evenly over the range.

    The same for every seed of training, and drawn by seeds that no training episode has.
    """
    low, high = range_of(cfg.rates)
    rates = np.geomspace(low, high, cfg.evaluation.rates).tolist()
    options = [(("workload", name), ("rate", rate)) for name in workloads for rate in rates]
    return [Task(seed_of(HELD_OUT, cfg.evaluation.seed, number), options=one) for number, one in enumerate(options)]


@dataclass
class Training:
    """One seed's training: what it has come to, and how it goes on."""

    features: Features
    settings: Settings
    seed: int
    learner: DoubleDQN = field(init=False)
    replay: Replay = field(init=False)
    played_by: Network = field(init=False)  # whoever plays the round under way
    best: Network | None = None
    best_performance: float = -1.0
    epsilon: float = 1.0
    decisions: int = 0
    episodes: int = 0
    begun: int | None = None  # decisions before the first update
    evaluated: int = -1  # decisions at the last evaluation
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.learner = DoubleDQN(self.features, self.settings, seed_of(self.seed))
        self.replay = Replay(self.settings.replay, self.features.size)
        self.rng = np.random.default_rng([DRAWS, self.seed])
        self.played_by = self.learner.network()
        self.epsilon = self.settings.epsilon_at(0)

    @property
    def over(self) -> bool:
        """Whether all decisions have been taken and judged."""
        return self.decisions >= self.settings.decisions and self.evaluated == self.decisions

    def tasks(self) -> list[Task]:
        """The episodes of the round under way."""
        numbers = range(self.episodes, self.episodes + self.settings.round_episodes)
        return [Task(seed_of(TRAINING, self.seed, number), self.epsilon) for number in numbers]

    def run(self, submit: Submit, judges: list[Task], every: int, checkpoint: Path, bar: tqdm[Any]) -> None:
        """Go on to the end; each `every` decisions `judges` are played, and all is kept in `checkpoint`."""
        start, before = time.perf_counter(), self.seconds
        waiting = submit(self.played_by, self.tasks()) if self.decisions < self.settings.decisions else None
        while not self.over:
            games = waiting() if waiting else []
            self._remember(games)
            if self.decisions < self.settings.decisions:  # played while this process learns, if others do that
                self.played_by, self.epsilon = self.learner.network(), self.settings.epsilon_at(self.decisions)
                waiting = submit(self.played_by, self.tasks())
            said = self._update()
            if self.decisions >= min(max(self.evaluated, 0) + every, self.settings.decisions):
                self._judge(submit(self.learner.network(), judges)(), games, said)
                self.seconds = before + time.perf_counter() - start
                self.curve[-1]["minutes"] = self.seconds / 60
                self.save(checkpoint)
                bar.set_postfix(performance=f"{self.curve[-1]['performance']:.3f}", refresh=False)
            bar.update(min(self.decisions, self.settings.decisions) - bar.n)

    def _remember(self, games: list[Played]) -> None:
        for game in games:
            self.replay.add(game, self.settings, self.rng)
            self.decisions += len(game.chosen)
        self.episodes += len(games)

    def _update(self) -> dict[str, float]:
        """As many updates as the decisions so far are worth; the means of what they said."""
        if len(self.replay) < self.settings.first_update:
            return {}
        rate = self.settings.learning_rate_at(self.decisions)
        self.begun = self.decisions if self.begun is None else self.begun
        due = (self.decisions - self.begun) // self.settings.decisions_per_update + 1
        said = [
            self.learner.update(self.replay.draw(self.settings.batch, self.rng), rate)
            for _ in range(due - self.learner.updates)
        ]
        return dict(zip(("loss", "value"), np.mean(said, axis=0).tolist(), strict=True)) if said else {}

    def _judge(self, judged: list[Played], games: list[Played], said: dict[str, float]) -> None:
        performance = sum(game.performance for game in judged) / len(judged)
        chosen = np.concatenate([game.chosen for game in judged])
        shares = {f"share_{name}": float((chosen == at).mean()) for at, name in enumerate(self.features.models)}
        self.evaluated = self.decisions
        row = {
            "decisions": self.decisions,
            "minutes": 0.0,
            "epsilon": self.epsilon,
            "loss": said.get("loss", float("nan")),
            "value": said.get("value", float("nan")),
            "training_performance": float(np.mean([game.performance for game in games])) if games else float("nan"),
            "performance": performance,
            "reward": float(np.concatenate([game.credited for game in judged]).mean()),
            **shares,
        }
        self.curve.append(row)
        if self.learner.updates and performance > self.best_performance:
            self.best, self.best_performance = self.learner.network(), performance

    def save(self, path: Path) -> None:
        """Keep all in `path`, whole or not at all: tensors and plain values, which are read without unpickling code."""
        state = {
            "seed": self.seed,
            "learner": self.learner.state(),
            "replay": _tensors(self.replay.state()),
            "rng": self.rng.bit_generator.state,
            **{name: getattr(self, name) for name in SAVED},
            **{name: _arrays(getattr(self, name)) for name in ("played_by", "best")},
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            torch.save(state, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def restore(self, path: Path) -> None:
        """Go on from what `save` kept; ValueError for a file that is broken."""
        try:
            self._restore(torch.load(path, weights_only=True))
        except BROKEN as error:
            said = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ValueError(f"{path} holds no checkpoint ({said}): remove it to begin anew") from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.learner.restore(state["learner"])
        self.replay.restore({name: _array(value) for name, value in state["replay"].items()})
        self.rng.bit_generator.state = state["rng"]
        for name in SAVED:
            setattr(self, name, state[name])
        for name in ("played_by", "best"):
            setattr(self, name, self._network(state[name]))

    def _network(self, arrays: list[Any]) -> Network | None:
        found = [_array(one) for one in arrays]
        return Network(self.features, tuple(found[::2]), tuple(found[1::2])) if found else None


BROKEN = (  # what torch raises at a file that is no checkpoint, or a part of one
    OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError,
    pickle.UnpicklingError,
)  # fmt: skip
SAVED = ("best_performance", "epsilon", "decisions", "episodes", "begun", "evaluated", "seconds", "curve")


def _arrays(network: Network | None) -> list[torch.Tensor]:
    pairs = zip(network.weights, network.biases, strict=True) if network else ()
    return [torch.from_numpy(array) for pair in pairs for array in pair]


def _tensors(state: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.from_numpy(one) if isinstance(one, np.ndarray) else one for name, one in state.items()}


def _array(value: Any) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) else value
