"""What a routing may ask of several replicas at once: it need not look at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from sim.job import Job
from sim.policy import ReplicaView


class Group:
    """Some replicas of a cluster, at the indices `numbers`, in ascending order; one at least.

    What it says is what a loop over their `views` says. That of a run, `sim.engine.tally.CountedGroup`, keeps count.
    """

    def __init__(self, views: Sequence[ReplicaView], numbers: Sequence[int]) -> None:
        self.views = views
        self.numbers = numbers

    @property
    def jobs(self) -> int:
        """Jobs that wait, run or call out at any of them."""
        return sum([self.views[number].jobs for number in self.numbers])

    def submitted_within(self, seconds: float) -> int:
        """Jobs that were sent to any of them in the last so many seconds."""
        return sum([self.views[number].submitted_within(seconds) for number in self.numbers])

    def fewest_jobs(self) -> int:
        """The index of the one with the fewest jobs, the first of equals."""
        if len(self.numbers) == 1:
            return self.numbers[0]
        return min(self.numbers, key=lambda number: self.views[number].jobs)

    def fewest_submitted(self) -> int:
        """The index of the one that was sent the fewest jobs so far, the first of equals."""
        if len(self.numbers) == 1:
            return self.numbers[0]
        return min(self.numbers, key=lambda number: self.views[number].submitted)

    def most_cached(self, job: Job, most: int) -> int:
        """Of those that have `most` jobs, or fewer, the one that has cached the most of the prompt of `job`.

        Of equals it is the one with the fewest jobs, and the first of these. ValueError if all have more.
        """
        views = self.views
        fit = [number for number in self.numbers if views[number].jobs <= most]
        return max(fit, key=lambda number: (views[number].cached_tokens(job), -views[number].jobs))


class Replicas(tuple[ReplicaView, ...]):
    """The views of a cluster's replicas, by index, and groups of them, which are made when they are asked for first."""

    make: Callable[[Sequence[ReplicaView], Sequence[int]], Group] = Group

    def __init__(self, views: Iterable[ReplicaView]) -> None:
        self._groups: dict[tuple[str, str], Group] = {}

    def of_kind(self, kind: str) -> Group:
        """Those of a `kind` of device; ValueError if there is none."""
        return self._groups.get(("kind", kind)) or self._made("kind", kind, f"of kind {kind!r}")

    def of_model(self, model: str) -> Group:
        """Those that serve `model`; ValueError if there is none."""
        return self._groups.get(("model", model)) or self._made("model", model, f"serves {model!r}")

    @cached_property
    def all(self) -> Group:
        """All of them."""
        return self.make(self, range(len(self)))

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Those that are served, each once, in the order of the replicas."""
        return tuple(dict.fromkeys(view.model for view in self))

    def _made(self, field: str, value: str, what: str) -> Group:
        """The group of those whose `field` is `value`, when it is asked for first."""
        numbers = [number for number, view in enumerate(self) if getattr(view, field) == value]
        if not numbers:
            has = [getattr(view, field) for view in self]
            raise ValueError(f"no device {what} in the cluster, which has {has}")
        group = self._groups[field, value] = self.make(self, numbers)
        return group


def replicas_of(cluster: Sequence[ReplicaView]) -> Replicas:
    """`cluster` as `Replicas`, as which a run hands it to its routing; others may be plain tuples."""
    return cluster if isinstance(cluster, Replicas) else Replicas(cluster)
