"""What is given for devices and does nothing there, or goes beyond what their profiles hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.settings import parts
from experiments.settings.composer import Job
from experiments.settings.reached import Reads
from experiments.settings.wording import did_you_mean, one_line, shown
from profiles.profile import available
from sim import Execution, IterationLevel, RequestLevel

OWN_LOADERS = ("profiles.profile.load", "profiles.profile.scaled")


def unknown_model(reads: Reads, plain: Mapping[str, Any]) -> Iterator[str]:
    """A line if no profile that ships is of the run's `model`, from which a device takes its own."""
    known = dict.fromkeys(model for model, _ in available())
    for name, entry in plain["cluster"]["devices"].items():
        profile = entry["profile"] or {}
        ours = profile.get("_target_") in OWN_LOADERS and profile.get("folder") is None
        if ours and reads.source(f"cluster.devices.{name}.profile.model") == "model" and profile["model"] not in known:
            model = shown(profile["model"])
            yield f"model={model}: no such model{did_you_mean(model, known)}; there are {', '.join(known)}"
            return


def too_long(plain: Mapping[str, Any], named: Callable[[str], str]) -> Iterator[str]:
    """A line for each device that is to serve longer requests than its profile says the model can."""
    for name, entry in plain["cluster"]["devices"].items():
        path = f"cluster.devices.{name}"
        profile = parts.built(f"{path}.profile", json.dumps(entry["profile"]))
        most, given = getattr(profile, "max_model_len", None), entry["max_model_len"]
        if isinstance(most, int) and given is not None and given > most:
            yield (
                f"{named(f'{path}.max_model_len')} must be at most {most}, the max_model_len of its profile "
                f"({profile.model} on {profile.device})"
            )


def idle(job: Job, plain: Mapping[str, Any]) -> dict[str, str]:
    """What was given, as typed, and changes nothing for the batching of the devices, each with the line that says why.

    A static batch shares no prefix, and neither it nor one that sets KV aside for whole answers preempts anybody.
    """
    found = {}
    devices = {name: entry for name, entry in plain["cluster"]["devices"].items() if entry["count"]}
    runs = {name: _execution(name, entry, plain) for name, entry in devices.items()}
    batching = f"policy={job.choices.get('policy')}, policy/batching={job.choices.get('policy/batching')}"
    for one in job.given:
        device = one.key.removeprefix("cluster.devices.").removesuffix(".prefix_caching")
        caches = one.key == f"cluster.devices.{device}.prefix_caching" and one.value is True
        if caches and isinstance(runs.get(device), RequestLevel):
            why = "its own" if devices[device]["batching"] is not None else batching
            found[one.text] = f"{_bare(one.text)} changes nothing: the batching of {device} is static ({why})"
        swaps = one.key == "policy/eviction" and one.value != "recompute"
        target = "policies.eviction.recompute.Recompute"
        swaps = swaps or (one.key == "policy.eviction._target_" and one.value != target)
        if swaps and all(not _preempts(how) for how in runs.values()):
            found[one.text] = (
                f"{_bare(one.text)} changes nothing: nobody is preempted where batches are static or set KV aside for "
                f"whole answers ({batching})"
            )
    return found


def _preempts(execution: Execution | None) -> bool:
    """Whether jobs may be preempted under `execution`; so it may be, where it is not known."""
    return execution is None or (isinstance(execution, IterationLevel) and not execution.reserve_output)


def _bare(text: str) -> str:
    return one_line(text.lstrip("+"))


def _execution(name: str, entry: Mapping[str, Any], plain: Mapping[str, Any]) -> Execution | None:
    """How the device `name` runs its batches; None where a foreign batching does not say."""
    path, node = f"cluster.devices.{name}.batching", entry["batching"]
    try:
        policys = parts.built("policy", json.dumps(plain["policy"])).batching
        found = (parts.built(path, json.dumps(node)) if node else policys).execution
        return found if isinstance(found, Execution) else None
    except Exception:  # which is told where the part is looked at
        return None
