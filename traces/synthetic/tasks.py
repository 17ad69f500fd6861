"""A mix of tasks: each with its share of the requests and its own lengths, the shares perhaps others later on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from traces.synthetic.arrivals import Process
from traces.synthetic.lengths import Distribution
from traces.synthetic.parameters import check_not_negative, check_positive, check_weights
from traces.synthetic.workload import TRAINING_REQUESTS, TRAINING_SEED, drawn


@dataclass(frozen=True)
class Task:
    """The lengths of its prompts and answers, and its `share` of the requests, to those of the others."""

    share: float
    prompt: Distribution
    output: Distribution


@dataclass(frozen=True)
class Tasks:
    """`requests` independent requests at a mean of `rate` requests/s, each of one of `tasks` (column `task`).

    Or as many as come in so many `seconds` at that rate: one of the two is given. So traces of all rates last alike.
    From `shift_at` seconds on the shares are those of `shifted`, by task (None: they stay). `training_requests` rows
    for predictors are drawn apart, with `training_seed`, by the first shares.
    """

    rate: float
    requests: int | None
    arrivals: Process
    tasks: Mapping[str, Task]
    shifted: Mapping[str, float] | None = None
    shift_at: float = 0.0
    seconds: float | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        if (self.requests is None) == (self.seconds is None):
            raise ValueError(f"give requests or seconds, one of the two: got {self.requests} and {self.seconds}")
        check_positive(self, "rate", "training_requests", "requests" if self.seconds is None else "seconds")
        check_not_negative(self, "shift_at")
        if self.shift_at and self.shifted is None:
            raise ValueError(f"shift_at={self.shift_at:g} shifts nothing: `shifted` is null")
        if not self.tasks:
            raise ValueError("tasks must be one or more, got none")
        check_weights("shares of tasks", tuple(task.share for task in self.tasks.values()))
        if self.shifted is not None:
            if set(self.shifted) != set(self.tasks):
                raise ValueError(f"shifted must be of the tasks {', '.join(self.tasks)}, got {', '.join(self.shifted)}")
            check_weights("shifted", tuple(self.shifted.values()))

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        mix = ", ".join(f"{task.share:g} of {name}" for name, task in self.tasks.items())
        later = (
            "" if self.shifted is None else ", ".join(f"{share:g} of {name}" for name, share in self.shifted.items())
        )
        return (
            f"synthetic: {self.arrivals} at {self.rate:g} requests/s, tasks in the shares {mix}"
            f"{later and f', from {self.shift_at:g} s on {later}'}"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` the rest."""
        count = self.requests or max(1, round(self.rate * (self.seconds or 0)))
        return self._table(self.arrivals.instants(self.rate, count, arrivals), lengths)

    def training(self) -> pd.DataFrame:
        """Rows of the same population, all at arrival 0."""
        instants = np.zeros(self.training_requests)
        return self._table(instants, np.random.default_rng(self.training_seed), shifts=False)

    def _table(self, instants: np.ndarray, lengths: np.random.Generator, shifts: bool = True) -> pd.DataFrame:
        first = [task.share for task in self.tasks.values()]
        later = first if self.shifted is None else [self.shifted[name] for name in self.tasks]
        at = self.shift_at if shifts else math.inf
        uniform = lengths.random(len(instants))
        number = np.where(instants < at, _chosen(first, uniform), _chosen(later, uniform))
        prompts, outputs = np.empty(len(instants)), np.empty(len(instants))
        for one, task in enumerate(self.tasks.values()):
            mask = number == one
            prompts[mask] = task.prompt.draw(int(mask.sum()), lengths)
            outputs[mask] = task.output.draw(int(mask.sum()), lengths)
        names = np.array(list(self.tasks), dtype=object)[number]
        table = {"arrival": instants, "prompt_tokens": prompts, "output_tokens": outputs, "task": names}
        return drawn(pd.DataFrame(table), "synthetic tasks")


def _chosen(shares: list[float], uniform: np.ndarray) -> np.ndarray:
    """For each uniform number the one of several that it falls to, in proportion to `shares`."""
    sums = np.cumsum(shares)
    return np.searchsorted(sums, uniform * sums[-1], side="right")
