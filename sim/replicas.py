"""What a routing may ask of several replicas at once: it need not look at each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        return min(self.numbers, key=lambda number: self.views[number].jobs)

    def fewest_submitted(self) -> int:
        """The index of the one that was sent the fewest jobs so far, the first of equals."""
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

    def of_kind(self, kind: str) -> Group:
        """Those of a `kind` of device; ValueError if there is none."""
        return self._kept(("kind", kind), lambda view: view.kind) or self._lacks(f"of kind {kind!r}", "kind")

    def of_model(self, model: str) -> Group:
        """Those that serve `model`; ValueError if there is none."""
        return self._kept(("model", model), lambda view: view.model) or self._lacks(f"serves {model!r}", "model")

    @property
    def all(self) -> Group:
        """All of them."""
        return self._kept(("", ""), lambda view: "") or self._lacks("at all", "name")

    @property
    def models(self) -> tuple[str, ...]:
        """Those that are served, each once, in the order of the replicas."""
        found: tuple[str, ...] | None = self.__dict__.get("_models")
        if found is None:
            found = self.__dict__["_models"] = tuple(dict.fromkeys(view.model for view in self))
        return found

    def _kept(self, asked: tuple[str, str], of: Callable[[ReplicaView], str]) -> Group | None:
        """The group of those `of` which is what is `asked`, made when it is asked first; None without any."""
        groups: dict[tuple[str, str], Group] = self.__dict__.setdefault("_groups", {})
        group = groups.get(asked)
        if group is None and (numbers := [number for number, view in enumerate(self) if of(view) == asked[1]]):
            group = groups[asked] = self.make(self, numbers)
        return group

    def _lacks(self, what: str, field: str) -> Group:
        raise ValueError(f"no device {what} in the cluster, which has {[getattr(view, field) for view in self]}")


def replicas_of(cluster: Sequence[ReplicaView]) -> Replicas:
    """`cluster` as `Replicas`, as which a run hands it to its routing; others may be plain tuples."""
    return cluster if isinstance(cluster, Replicas) else Replicas(cluster)
