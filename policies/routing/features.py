"""What a learned routing sees of a request and of the cluster, in numbers from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.job import Job
from sim.policy import ReplicaView
from sim.replicas import replicas_of

Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Features:
    """The request's task, the jobs at each of `models`, and how fast requests came in the last `window` seconds.

    Jobs are in units of `most_jobs`, the rate in units of `highest_rate` (requests/s); above 1 both count as 1.
    """

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    most_jobs: float
    highest_rate: float
    window: float

    def __post_init__(self) -> None:
        for name in ("tasks", "models"):
            names = tuple(getattr(self, name))
            object.__setattr__(self, name, names)
            if not names or len(set(names)) < len(names) or not all(isinstance(one, str) for one in names):
                raise ValueError(f"{name} must be names that differ, got {names}")
        for name in ("most_jobs", "highest_rate", "window"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {value}")

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self.tasks) + len(self.models) + 1

    def of(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Numbers:
        """A one for the task of `job` among zeros, the jobs at each model, the rate: float32, shape (size,).

        ValueError for one of `models` that no replica serves, LookupError for a task that is none of `tasks`.
        """
        replicas = replicas_of(cluster)
        jobs = {model: replicas.of_model(model).jobs for model in replicas.models}
        lately = replicas.all.submitted_within(self.window)
        found = [0.0] * self.size
        for number, model in enumerate(self.models, len(self.tasks)):
            if model not in jobs:
                raise ValueError(f"no device serves {model!r} in the cluster, which has {[*jobs]}")
            found[number] = min(jobs[model] / self.most_jobs, 1.0)
        if job.request.task not in self.tasks:
            said = f"request {job.request.id} has the task {job.request.task!r}"
            raise LookupError(f"{said}, and those known here are {', '.join(self.tasks)}")
        found[self.tasks.index(job.request.task)] = 1.0
        found[-1] = min(lately / self.window / self.highest_rate, 1.0)
        return np.array(found, dtype=np.float32)
