"""What an answer is worth that has a deadline, after learned best-effort serving (arXiv 2401.07886)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Deadlines:
    """The model's quality for the task, if the answer is there in time.

    q(task, model) up to `hard` seconds after the arrival, and 0 from then on; with `soft` (s) it falls on a straight
    line from the one deadline to the other, q * (soft - t) / (soft - hard) [A]. `quality` is any number from 0, the
    same for all of a task, such as an accuracy. `window`: seconds over which a service's performance is told.
    """

    quality: Mapping[str, Mapping[str, float]]
    hard: float
    soft: float | None = None
    window: float = 10.0

    def __post_init__(self) -> None:
        if not self.quality or not all(self.quality.values()):
            raise ValueError(f"quality must name tasks, and models of each, got {dict(self.quality)}")
        for task, models in self.quality.items():
            if bad := [model for model, value in models.items() if not 0 <= value < math.inf]:
                raise ValueError(f"quality of {bad[0]} for {task} must be finite and from 0, got {models[bad[0]]}")
            if not max(models.values()) > 0:
                raise ValueError(f"quality for {task} must be above 0 of some model, got {dict(models)}")
        for name in ("hard", "window"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite seconds, got {getattr(self, name)}")
        if self.soft is not None and not self.hard < self.soft < math.inf:
            raise ValueError(f"soft must be later than hard={self.hard:g}, got {self.soft}")

    def reward(self, task: str, model: str, seconds: float) -> float:
        """What the answer of `model` is worth that came so many seconds after the arrival; NaN, infinity: none did."""
        if not math.isfinite(seconds):
            return 0.0
        worth = self.of(task, model)
        if seconds <= self.hard:
            return worth
        if self.soft is None or seconds >= self.soft:
            return 0.0
        return worth * (self.soft - seconds) / (self.soft - self.hard)

    def rewards(self, tasks: Sequence[str], models: Sequence[str], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """`reward` of each of several; where no answer came the model may be any, as ""."""
        each = zip(tasks, models, seconds.tolist(), strict=True)
        return np.array([self.reward(*one) for one in each], dtype=float)

    def of(self, task: str, model: str) -> float:
        """q(task, model); ValueError where the table has none."""
        if task not in self.quality:
            raise ValueError(f"no quality of the task {task!r}; there are {', '.join(self.quality)}")
        if model not in self.quality[task]:
            raise ValueError(f"no quality of the model {model!r} for {task}; there are {', '.join(self.quality[task])}")
        return self.quality[task][model]

    def peak(self, task: str) -> float:
        """The quality of the best model for `task`: what an unloaded service is worth."""
        if task not in self.quality:
            raise ValueError(f"no quality of the task {task!r}; there are {', '.join(self.quality)}")
        return max(self.quality[task].values())
