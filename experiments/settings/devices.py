"""What is given for devices and does nothing there, or goes beyond what their profiles hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.run.references import within
from experiments.settings import parts
from experiments.settings.composer import Job
from experiments.settings.reached import Reads
from experiments.settings.wording import did_you_mean, one_line, shown
from profiles.profile import available
from sim import Batching, Execution, RequestLevel, Until
from sim.slo import Slo

NEVER_SWAP = ("policies.eviction.recompute.Recompute", "policies.eviction.keep.Resident")
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


def undecoded(plain: Mapping[str, Any], named: Callable[[str], str]) -> Iterator[str]:
    """A line for each device whose batching cannot take the passes of its decoding."""
    for name, entry in plain["cluster"]["devices"].items():
        batching = _batching(name, entry, plain) if entry.get("decoding") and entry["count"] else None
        if batching is None:
            continue
        execution, said = batching.execution, named(f"cluster.devices.{name}.decoding")
        if isinstance(execution, RequestLevel):
            yield f"{said} needs a batching at iteration level, as policy/batching=continuous: that of {name} is static"
        elif execution.plans_ahead:
            yield f"{said} needs policy.batching.plans_ahead=0, got {execution.plans_ahead} for {name}"


def crowded(plain: Mapping[str, Any], named: Callable[[str], str]) -> Iterator[str]:
    """A line for each device where more requests may run at a time than their windows have room."""
    for name, entry in plain["cluster"]["devices"].items():
        profile = parts.built(f"cluster.devices.{name}.profile", json.dumps(entry["profile"]))
        batching, most = _batching(name, entry, plain), getattr(profile, "most_requests", None)
        if most is not None and batching is not None and batching.execution.max_num_seqs > most:
            seats = f"policy.batching.max_num_seqs={batching.execution.max_num_seqs}"
            yield f"{seats}: {name} has room for {most} windows of {profile.model} at a time"


def unseen(plain: Mapping[str, Any], _: Callable[[str], str]) -> Iterator[str]:
    """A line if a first token is bounded (`slo`) and no device shows one."""
    if not plain.get("slo"):
        return
    bounded = Slo.of(plain["slo"]).metrics & {"ttft", "tpot"}
    entries = {name: entry for name, entry in plain["cluster"]["devices"].items() if entry["count"]}
    if bounded and entries and all(_is_static(_batching(name, entry, plain)) for name, entry in entries.items()):
        yield (
            f"slo.{min(bounded)}: static batches show no first token: policy/batching=continuous does, and slo.e2e "
            "bounds the response time"
        )


def idle(job: Job, plain: Mapping[str, Any]) -> dict[str, str]:
    """What was given, as typed, and changes nothing for the batching of the devices, each with the line that says why.

    A static batch shares no prefix, and neither it nor one that sets KV aside for whole answers preempts anybody.
    """
    found = {}
    devices = {name: entry for name, entry in plain["cluster"]["devices"].items() if entry["count"]}
    runs = {name: _batching(name, entry, plain) for name, entry in devices.items()}
    batching = f"policy={job.choices.get('policy')}, policy/batching={job.choices.get('policy/batching')}"
    eviction = parts.at(plain, "policy.eviction._target_")
    for one in job.given:
        device, _, setting = one.key.removeprefix("cluster.devices.").partition(".")
        if setting == "prefix_caching" and one.value is True and _is_static(runs.get(device)):
            why = "its own" if devices[device]["batching"] is not None else batching
            found[one.text] = f"{_bare(one.text)} changes nothing: the batching of {device} is static ({why})"
        if device in devices and within(setting, "host") and eviction in NEVER_SWAP:
            which = f"policy/eviction={job.choices.get('policy/eviction')}"
            found[one.text] = f"{_bare(one.text)} changes nothing: {which} sends no KV to the host"
        swaps = one.key == "policy/eviction" and one.value != "recompute"
        swaps = swaps or (one.key == "policy.eviction._target_" and one.value != NEVER_SWAP[0])
        if swaps and not any(map(_stops, runs.values())):
            found[one.text] = (
                f"{_bare(one.text)} changes nothing: nobody is preempted where batches are static or set KV aside for "
                f"whole answers ({batching})"
            )
    return found


def _is_static(batching: Batching | None) -> bool:
    return batching is not None and isinstance(batching.execution, RequestLevel)


def _stops(batching: Batching | None) -> bool:
    """Whether jobs may be preempted under `batching`; so it may be, where it is not known."""
    if batching is None or type(batching).victim is not Batching.victim:
        return True
    execution = batching.execution
    if isinstance(execution, RequestLevel):
        return execution.until is Until.FIRST
    return not execution.reserve_output


def _bare(text: str) -> str:
    return one_line(text.lstrip("+"))


def _batching(name: str, entry: Mapping[str, Any], plain: Mapping[str, Any]) -> Batching | None:
    """What the device `name` batches by; None where a foreign one does not say how it runs."""
    path, node = f"cluster.devices.{name}.batching", entry["batching"]
    try:
        policys = parts.built("policy", json.dumps(plain["policy"])).batching
        found = parts.built(path, json.dumps(node)) if node else policys
        return found if isinstance(found.execution, Execution) else None
    except Exception:  # which is told where the part is looked at
        return None
