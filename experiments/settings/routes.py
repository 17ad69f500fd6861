"""Where requests are sent: whether a routing finds its devices and links, and heeds the models on them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from experiments.settings import parts
from experiments.settings.composer import Job
from experiments.settings.wording import one_line, shown
from sim import Link, Policy, Prediction, Request, Truth
from sim.job import Job as Life


class Routed(NamedTuple):
    """How a policy routes: the most legs of a request, and whether it looked at the models of the replicas."""

    legs: int
    by_model: bool


@dataclass(slots=True, eq=False)
class _Idle:
    """A replica as a routing sees it before anything runs; who looks at its model adds that to `asked`."""

    name: str
    kind: str
    on_it: str
    asked: set[str]
    jobs: int = 0
    submitted: int = 0
    free_blocks: int = 1

    @property
    def model(self) -> str:
        self.asked.add(self.on_it)
        return self.on_it

    def submitted_within(self, seconds: float) -> int:
        return 0

    def cached_tokens(self, job: Life) -> int:
        return 0


def routed(policy: Policy, devices: Mapping[str, Mapping[str, Any]], models: Mapping[str, str]) -> Routed:
    """How the policy routes a request, foreseen as short or long; ValueError where it cannot.

    `devices` are the entries of the cluster, `models` those that they name.
    """
    asked: set[str] = set()
    views: Any = tuple(
        _Idle(f"{name}{number}", entry["kind"], models.get(name, ""), asked)
        for name, entry in devices.items()
        for number in range(entry["count"])
    )
    most = 0
    for uncertainty in (0.0, 1e300):
        prediction = Prediction(length=1.0, uncertainty=uncertainty)
        try:
            most = max(most, len(policy.routing.route(Life(Request(0, 0.0, 1, Truth(1)), prediction), views)))
        except ValueError:
            raise
        except Exception:  # it may look at what only a run has, as a request's task
            break
    return Routed(most, bool(asked))


def named_models(plain: Mapping[str, Any]) -> dict[str, str]:
    """The models that the entries of the cluster name, of those with a device."""
    return {
        name: str(entry["profile"]["model"])
        for name, entry in plain["cluster"]["devices"].items()
        if isinstance(entry.get("profile"), dict) and "model" in entry["profile"] and entry.get("count")
    }


def misrouted(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that the routing lacks, or does not heed."""
    cluster, models = plain["cluster"], named_models(plain)
    devices = cluster["devices"]
    policy = parts.built("policy", json.dumps(plain["policy"]))
    which = f"policy={job.choices.get('policy')}, policy/routing={job.choices.get('policy/routing')}"
    if not any(entry["count"] for entry in devices.values()):
        yield f"{', '.join(f'cluster.devices.{name}.count=0' for name in devices)}: a cluster needs a device"
        return
    try:
        found = routed(policy, devices, models) if isinstance(policy, Policy) else Routed(0, False)
    except ValueError as error:
        yield f"{which}: {one_line(error)} (cluster={job.choices.get('cluster')})"
        return
    if len(set(models.values())) > 1 and not found.by_model:
        each = ", ".join(f"cluster.devices.{name}.profile.model={shown(model)}" for name, model in models.items())
        yield f"{each}: the devices hold several models, and {which} does not look at them"
    if cluster.get("steps_together") and job.cfg.audit:
        yield "audit=true: the memory of a cluster with cluster.steps_together=true is not audited"
    link = None if cluster.get("link") is None else parts.built("cluster.link", json.dumps(cluster["link"]))
    if problem := _link_problem(link, found.legs):
        yield f"cluster.link={shown(cluster.get('link'))} {problem} ({which})"
    elif link is not None and found.legs == 1 and any(one.key.startswith("cluster.link") for one in job.given):
        given = next(one.text for one in job.given if one.key.startswith("cluster.link"))
        yield f"{given} is used by nothing: {which} sends no KV from one device to another"


def _link_problem(link: Any, most: int) -> str | None:
    """What is wrong with the link of a cluster whose requests have up to `most` legs."""
    if link is not None and not isinstance(link, Link):
        return "must be a sim.Link, or null"
    if link is None and most > 1:
        return "cannot be null: policy.routing sends a request's KV from one device to another"
    return None
