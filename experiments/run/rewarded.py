"""What a run is worth: rewards of its requests, and what a service is told by of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.metrics import inside, measured_window, response_time
from sim.record import Table

Floats = NDArray[np.float64]
LEVELS = (0.96, 0.98)  # of the peak, as the paper of `policies.reward.deadlines` tells performance


class Reward(Protocol):
    """What answers are worth: `policies.reward.deadlines.Deadlines`, or another part of these words."""

    hard: float
    window: float

    def rewards(self, tasks: list[str], models: list[str], seconds: Floats) -> Floats:
        """Of each of several answers, by task, model and the seconds from its arrival on (NaN: none came)."""
        ...

    def peak(self, task: str) -> float:
        """The most that an answer to `task` can be worth."""
        ...


def with_rewards(requests: Table, reward: Reward) -> Table:
    """`requests` with the column `reward`: 0 of those that were rejected, or unfinished at the horizon."""
    if "task" not in requests:
        raise ValueError("a reward needs a trace with tasks, and this one has none")
    tasks, models = requests["task"].tolist(), requests["model"].tolist()
    return {**requests, "reward": reward.rewards(tasks, models, response_time(requests))}


def of_rewards(requests: Table, reward: Reward, warmup: float) -> dict[str, float]:
    """What is told of a request table with rewards, by those that arrived in the measured window; NaN if none did.

    `availability` is the share of them with an answer before the hard deadline, `performance` their rewards over their
    peaks, `time_above_96` the share of the window's parts of `reward.window` seconds, those in which somebody arrived,
    whose performance is at least 0.96.
    """
    start, end = measured_window(requests, warmup)
    chosen = inside(requests, (start, end))
    peaks = np.array([reward.peak(task) for task in chosen["task"].tolist()])
    _, part = np.unique((chosen["arrival"] - start) // reward.window, return_inverse=True)
    rewards, possible = (np.bincount(part, weights=values) for values in (chosen["reward"], peaks))
    performances = rewards[possible > 0] / possible[possible > 0]
    told = {
        "availability": response_time(chosen) <= reward.hard,
        "reward_mean": chosen["reward"],
        **{f"time_above_{100 * level:.0f}": performances >= level - 1e-12 for level in LEVELS},
    }
    performance = float(chosen["reward"].sum() / peaks.sum()) if len(peaks) else float("nan")
    return {name: float(values.mean()) if len(values) else float("nan") for name, values in told.items()} | {
        "performance": performance
    }
