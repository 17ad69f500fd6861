"""Greedy: the model that is worth most by the time at which it would be through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.reward.deadlines import Deadlines
from policies.routing.least_loaded import least_loaded_of
from sim.job import Job
from sim.policy import Leg, ReplicaView
from sim.replicas import replicas_of


@dataclass(frozen=True, slots=True)
class ByDeadline:
    """To the model with the highest `reward` for the seconds it is predicted to take; if none has any, the soonest.

    A step of a model takes t0 + t1 * jobs seconds, `steps[model]` being (t0, t1), and no more than `seats` jobs take
    part in it; others wait for one of those to leave, whose answers have `answer` tokens in the mean. A request goes to
    the model's replica with the fewest jobs. Predicted seconds are multiplied by `margin`.
    """

    reward: Deadlines
    steps: Mapping[str, Sequence[float]]
    answer: float
    seats: int
    margin: float = 1.0

    def __post_init__(self) -> None:
        if self.reward is None:  # as in a yaml
            raise ValueError("by_deadline chooses by what an answer is worth, and reward is null: reward=best_effort")
        for name in ("answer", "seats", "margin"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")

    def route(self, job: Job, cluster: tuple[ReplicaView, ...]) -> Sequence[Leg]:
        """One leg."""
        task, found = job.request.task or "", []
        for model in replicas_of(cluster).models:
            replica = least_loaded_of(cluster, model)
            seconds = self.margin * self.seconds(model, cluster[replica].jobs + 1, job.prediction.length)
            found.append((-self.reward.reward(task, model, seconds), seconds, replica))
        return (Leg(min(found)[2]),)

    def seconds(self, model: str, jobs: int, length: float) -> float:
        """To the end of an answer of `length` tokens by a replica with so many jobs, itself the last of them.

        LookupError for a model of which `steps` says nothing.
        """
        if model not in self.steps:
            raise LookupError(f"steps are those of {[*self.steps]}: nothing is known of {model!r}")
        fixed, each = self.steps[model]
        step = fixed + each * min(jobs, self.seats)
        return step * (length + self.answer * max(0, jobs - self.seats) / self.seats)
