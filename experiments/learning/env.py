"""The simulation as gymnasium's environment: each request is a question, the answer the model that serves it.

    import gymnasium
    from experiments.learning.env import ID, composed

    env = gymnasium.make(ID, cfg=composed("rates=[2,40]"))
    envs = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="async", cfg=composed())

Importing it registers it; needs pip install -e '.[learn]'. More in docs/learning.md.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from experiments.run.inputs import build_cluster
from experiments.run.node import Node
from policies.routing.features import Features, Numbers
from policies.routing.least_loaded import least_loaded_of
from sim import Leg, Question, Request, Simulation, Tables
from sim.job import Job
from traces.requests import to_requests

ID = "tokenyard/BestEffort-v0"


def composed(*overrides: str) -> DictConfig:
    """The configuration of `tokenyard learn` with these settings."""
    if GlobalHydra.instance().is_initialized():
        return compose("learn", list(overrides))
    with initialize_config_module("experiments.conf", version_base="1.3"):
        return compose("learn", list(overrides))


def range_of(rates: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest rate of an episode, requests/s; ValueError if they are no range."""
    given = [*rates] if isinstance(rates, Sequence) and not isinstance(rates, str) else rates
    if not isinstance(given, list) or len(given) != 2 or not all(map(_positive, given)) or given[0] > given[1]:
        raise ValueError(f"rates must be two, positive and in ascending order, got {given}")
    return float(given[0]), float(given[1])


def _positive(value: Any) -> bool:
    """Whether `value` is a number above 0, and finite."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


def workload(name: str, cfg: DictConfig) -> Any:
    """The synthetic trace of `cfg`; ValueError for one that is not drawn at a rate, in so many requests."""
    trace = Node.of(cfg).instantiate()
    if not is_dataclass(trace) or not {"rate", "requests"} <= {one.name for one in fields(trace)}:
        raise ValueError(f"workloads.{name}: {type(trace).__name__} is not drawn at a `rate`, in so many `requests`")
    return trace


class BestEffort(gymnasium.Env[Numbers, np.int64]):
    """An episode is a trace that is drawn anew: one of the workloads, at a rate drawn from `rates`, for `seconds`.

    A step sends one request to a model, to the least loaded of its replicas; the next begins when the next request
    asks. What is observed is `policies.routing.features.Features`. The reward of a step is that of all requests that
    have left since the one before; `info["left"]` has the decision that routed each (0, 1, ...) and its reward. An
    episode ends when all have left. `reset(options=...)` may fix `workload` and `rate` (requests/s).
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (as in gymnasium)

    def __init__(self, cfg: DictConfig | None = None) -> None:
        cfg = composed() if cfg is None else cfg
        self.cluster = build_cluster(cfg.cluster)
        self.policy = instantiate(cfg.policy, _convert_="all")
        self.predictor = instantiate(cfg.predictor, _convert_="all")
        self.reward = instantiate(cfg.reward, _convert_="all")
        if self.reward is None:
            raise ValueError("reward=none: there is nothing to learn from; choose another reward")
        models = tuple(dict.fromkeys(device.model for device in self.cluster.devices))
        self.features = Features(tuple(self.reward.quality), models, **cfg.features)
        for task in self.features.tasks:
            for model in models:
                self.reward.of(task, model)  # ValueError where it is unknown, before anything is played
        self.workloads = {str(name): workload(name, one) for name, one in cfg.workloads.items() if one is not None}
        self.rates = range_of(cfg.rates)
        if not _positive(cfg.seconds):
            raise ValueError(f"seconds of an episode must be positive and finite, got {cfg.seconds}")
        self.seconds = float(cfg.seconds)
        if not self.workloads:
            raise ValueError("workloads: there is none to draw from")
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.features.size,), np.float32)
        self.action_space: gymnasium.spaces.Discrete = gymnasium.spaces.Discrete(len(models))
        self._questions: Generator[Question, Sequence[Leg], Tables] | None = None
        self._question: Question | None = None
        self._routed: dict[int, tuple[int, str]] = {}  # request -> the decision, and the model
        self._left: list[tuple[int, float]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Numbers, dict[str, Any]]:
        """The first request of a trace that is drawn now; what was drawn. ValueError for options that cannot be."""
        self._check(options or {})
        super().reset(seed=seed)
        self.close()
        drawn, requests = self._drawn(options or {})
        self._routed, self._left = {}, []
        simulation = Simulation(requests, self.policy, self.cluster, self.predictor, left=self._leave)
        self._questions = simulation.questions()
        self._question = next(self._questions)
        return self._observed(self._question), drawn

    def step(self, action: np.int64 | int) -> tuple[Numbers, float, bool, bool, dict[str, Any]]:
        """Send the request that asks to the model `action`; RuntimeError where none asks, ValueError for no model."""
        if self._questions is None or self._question is None:
            raise RuntimeError("no request asks where to go: the episode has ended, or has not begun; call reset()")
        if isinstance(action, bool) or not self.action_space.contains(action):
            models = ", ".join(f"{number} ({name})" for number, name in enumerate(self.features.models))
            raise ValueError(f"an action must be a model: {models}, got {action!r}")
        job, replicas = self._question
        model = self.features.models[int(action)]
        self._routed[job.request.id] = len(self._routed), model
        try:
            self._question = self._questions.send((Leg(least_loaded_of(replicas, model)),))
            observed = self._observed(self._question)
        except StopIteration:
            self._question, observed = None, np.zeros(self.features.size, np.float32)
        left, self._left = self._left, []
        return observed, math.fsum(reward for _, reward in left), self._question is None, False, {"left": left}

    def close(self) -> None:
        """Let go of the simulation under way."""
        if self._questions is not None:
            self._questions.close()
        self._questions = self._question = None

    def _check(self, options: Mapping[str, Any]) -> None:
        """ValueError names the option that `reset` cannot take."""
        if unknown := [name for name in options if name not in ("workload", "rate")]:
            raise ValueError(f"options may have workload and rate, got {unknown[0]!r}")
        if options.get("workload", next(iter(self.workloads))) not in self.workloads:
            raise ValueError(f"the option workload must be of {', '.join(self.workloads)}, got {options['workload']!r}")
        if not _positive(options.get("rate", 1.0)):
            raise ValueError(f"the option rate must be positive and finite, requests/s, got {options['rate']!r}")

    def _drawn(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[Request]]:
        rng = self.np_random
        name = [*self.workloads][int(rng.integers(len(self.workloads)))]
        low, high = map(math.log, self.rates)
        rate = math.exp(rng.uniform(low, high))
        name, rate = options.get("workload", name), float(options.get("rate", rate))
        trace = replace(self.workloads[name], rate=rate, requests=max(1, round(rate * self.seconds)))
        table = trace.replay(*rng.spawn(2))
        return {"workload": name, "rate": rate, "requests": len(table)}, to_requests(table)

    def _observed(self, question: Question) -> Numbers:
        """What is known of the question; all replicas are asked, so that whoever has left is known."""
        return self.features.of(question.job, question.replicas)

    def _leave(self, job: Job) -> None:
        """Credit the decision that routed `job` with what it is worth; rejected requests with nothing."""
        decision, model = self._routed[job.request.id]
        seconds = math.inf if job.finished is None else job.finished - job.request.arrival
        self._left.append((decision, self.reward.reward(job.request.task, model, seconds)))


gymnasium.register(ID, entry_point="experiments.learning.env:BestEffort")
