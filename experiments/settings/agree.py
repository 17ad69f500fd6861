"""Settings that contradict, replace or ignore one another."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from experiments.run.build import read_trace
from experiments.run.references import leaves
from experiments.run.training import fitted, keeping_rows
from experiments.settings import parts
from experiments.settings.command import CONF
from experiments.settings.composer import Job
from experiments.settings.parts import at
from experiments.settings.reached import Reads
from experiments.settings.wording import one_line, shown
from sim import Policy
from traces.kinds import KINDS
from traces.windows import Windows

TEXT = ("tfidf.", "minilm.", "gbm.", "kernel_ridge.", "ssjf_classifier.", "ssjf_ordinal.", "ltr.", "alise.")


def why_unread(key: str, job: Job, reads: Reads) -> str:
    """Why nothing reads `key`, where a reason is known."""
    policy = job.choices.get("policy")
    if key == "calibration.malicious_quantile":
        tau = reads.raw.get("calibration.tau")
        if tau is not None:
            return f"calibration.tau={shown(tau)} is given in its place"
        return f"only tau is found from it, and policy={policy} asks for no tau (policy/routing=offload does)"
    if key == "calibration.kappa":
        return "kappa is found and told, and no part takes it"
    if key.startswith("calibration."):
        return f"no part of policy={policy} takes ${{{key}}}"
    if key == "load_of":
        return "it says whose capacity load=MULTIPLE is of, and load is null"
    if key == "resample":
        return f"trace={job.choices.get('trace')} is drawn anew for every seed; stored traces are resampled"
    if key.startswith("cluster."):
        devices = ", ".join(map(str, job.cfg.cluster.devices))
        return f"no device's setting refers to it; devices are {devices}, at cluster.devices.DEVICE.SETTING"
    return ""


def named_model(job: Job) -> str:
    """Which cluster names which model itself."""
    entries = [one.profile for one in job.cfg.cluster.devices.values() if OmegaConf.is_dict(one.profile)]
    models = " and ".join(sorted({str(profile.get("model")) for profile in entries}))
    return f"cluster={job.choices.get('cluster')} names its own model, {models}"


def disagreements(job: Job, reads: Reads, plain: Mapping[str, Any]) -> Iterator[str]:
    """A line for each two settings that do not go together."""
    yield from _system(job)
    yield from _load(job, plain)
    yield from _model(job, reads, plain)
    yield from _derived(job)
    routed = list(_routing(job, plain))
    yield from routed
    if not routed:
        yield from _trace(job, plain)
        yield from _horizon(job, plain)
        yield from _window(job, plain)


def _system(job: Job) -> Iterator[str]:
    """What a system says against what was given beside it."""
    system = job.choices.get("system")
    if system is None or not (path := CONF / "system" / f"{system}.yaml").is_file():
        return
    says = yaml.safe_load(path.read_text(encoding="utf-8"))
    for entry in says.pop("defaults", []):
        for group, option in entry.items() if isinstance(entry, dict) else ():
            group = group.removeprefix("override ").lstrip("/")
            if job.choices.get(group) != option and any(one.key == group for one in job.given):
                yield (
                    f"system={system} goes with {group}={option}, got {job.choices.get(group)}: for another {group} "
                    "give policy= in place of system="
                )
    fixed = leaves(says)
    for one in job.given:
        if one.key in fixed and fixed[one.key] != one.value:
            said = f"system={system} says {one.key}={shown(fixed[one.key])}"
            yield f"{one.text}: {said}; give policy= in place of system="


def _load(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    load = plain.get("load")
    if load is None:
        return
    rate = next((one for one in job.given if one.key == "trace.rate"), None)
    if rate is not None:
        of = "" if any(one.key == "load" for one in job.given) else f" of experiment={job.choices.get('experiment')}"
        yield f"load={shown(load)}{of} and {rate.text} contradict: load sets the rate; give one, or load=null"
    elif "rate" not in plain["trace"]:
        has = ", ".join(key for key in plain["trace"] if not str(key).startswith("_"))
        yield f"load={shown(load)} needs a trace with a rate to set; trace={job.choices.get('trace')} has {has}"


def _model(job: Job, reads: Reads, plain: Mapping[str, Any]) -> Iterator[str]:
    """A model that was given and that the cluster ignores; devices with different models."""
    devices = plain["cluster"]["devices"]
    models = {
        name: entry["profile"]["model"]
        for name, entry in devices.items()
        if isinstance(entry.get("profile"), dict) and "model" in entry["profile"] and entry.get("count")
    }
    if len(set(map(str, models.values()))) > 1:
        each = ", ".join(f"cluster.devices.{name}.profile.model={shown(model)}" for name, model in models.items())
        yield f"{each}: the devices of a cluster hold one model"
    given = next((one for one in job.given if one.key == "model"), None)
    if given is not None and models and names_other_models(job, reads):
        yield (
            f"model={shown(given.value)} is ignored: {named_model(job)}; give another cluster, or "
            f"cluster.devices.{next(iter(models))}.profile.model=MODEL"
        )


def has_models(job: Job) -> bool:
    """Whether any device names its model: what `model` says is then compared with that."""
    return any(OmegaConf.is_dict(one.profile) and "model" in one.profile for one in job.cfg.cluster.devices.values())


def names_other_models(job: Job, reads: Reads) -> bool:
    """Whether no device's model is `model`, neither by name nor by chance."""
    keys = [f"cluster.devices.{name}.profile.model" for name in job.cfg.cluster.devices]
    return not any(reads.source(key) == "model" or reads.raw.get(key) == job.cfg.get("model") for key in keys)


def _derived(job: Job) -> Iterator[str]:
    """A device that is derived from another one, but from something else than that one now runs."""
    before = Reads(job.before)
    for one in job.given:
        source = before.source(one.key)
        parts_of = one.key.split(".")
        if parts_of[:2] != ["cluster", "devices"] or not source.startswith("cluster.devices.") or source == one.key:
            continue
        theirs = OmegaConf.select(job.cfg, source)
        if theirs != one.value:
            yield (
                f"{one.text}: device {parts_of[2]} is derived from {source}={shown(theirs)}: change that one, "
                "and this follows"
            )


def _routing(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    cluster = plain["cluster"]
    policy = _built("policy", plain["policy"])
    kinds = {name: (entry["kind"], entry["count"]) for name, entry in cluster["devices"].items()}
    which = f"policy={job.choices.get('policy')}, policy/routing={job.choices.get('policy/routing')}"
    if not any(count for _, count in kinds.values()):
        yield f"{', '.join(f'cluster.devices.{name}.count=0' for name in kinds)}: a cluster needs a device"
        return
    try:
        most = parts.legs(policy, kinds) if isinstance(policy, Policy) else 0
    except ValueError as error:
        yield f"{which}: {one_line(error)} (cluster={job.choices.get('cluster')})"
        return
    link = None if cluster.get("link") is None else _built("cluster.link", cluster["link"])
    if problem := parts.link_problem(link, most):
        yield f"cluster.link={shown(cluster.get('link'))} {problem} ({which})"
    elif link is not None and most == 1 and any(one.key.startswith("cluster.link") for one in job.given):
        given = next(one.text for one in job.given if one.key.startswith("cluster.link"))
        yield f"{given} is used by nothing: {which} sends no KV from one device to another"


def _built(path: str, node: Any) -> Any:
    return parts.built(path, json.dumps(node))


def _trace(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    """What the policy, the cluster or the predictor needs of the trace's rows."""
    columns = parts.columns(json.dumps(plain["trace"]))
    trace = f"trace={job.choices.get('trace')}"
    if columns.problem:
        yield f"{_told(job, 'trace') or trace}: {columns.problem}"
    if not columns.sure:
        return
    if "pauses" in columns.names:
        yield f"{trace} has pauses (API calls), which the engine does not simulate: it can only be described"
    if "prompt_ids" not in columns.names:
        for name, entry in plain["cluster"]["devices"].items():
            if entry["prefix_caching"]:
                yield f"cluster.devices.{name}.prefix_caching=true needs a trace with prompt ids; {trace} has none"
        if str(plain["policy"]["routing"].get("_target_")).endswith("prefix_affinity.PrefixAffinity"):
            yield f"policy/routing={job.choices.get('policy/routing')} needs a trace with prompt ids; {trace} has none"
    order = str(plain["policy"]["order"].get("_target_"))
    if order == "policies.order.priority.Priority" and "priority" not in columns.names:
        yield f"policy/order={job.choices.get('policy/order')} needs a trace with priorities; {trace} has none"
    yield from _predictor(job, plain["predictor"], columns.names, trace)


def _horizon(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    """A horizon before the measured window begins: the trace is drawn to see when that is."""
    if (horizon := job.cfg.horizon) is None or plain.get("load") is not None:
        return
    seed = job.cfg.seed[0] if OmegaConf.is_list(job.cfg.seed) else job.cfg.seed
    try:
        table, _, _ = read_trace(_as_run(job, plain).trace, seed, trains=False)
    except (ValueError, OSError):  # the run says why there is no trace
        return
    begins = job.cfg.warmup * table["arrival"].iloc[-1]
    later = table["arrival"][table["arrival"] >= begins].iloc[0]
    if horizon <= (begins if "think" in table else later):
        yield (
            f"horizon={shown(horizon)} leaves nothing to measure: warmup={shown(job.cfg.warmup)} of the arrivals' span "
            f"ends at {begins:.6g} s, and the first request from there on comes at {later:.6g} s"
        )


def _window(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    """A window that was asked for and is more than a stored trace has: without being asked for it is less."""
    for one in job.given:
        path, _, name = one.key.rpartition(".")
        if name != "window" or path.split(".")[0] != "trace":
            continue
        source = _built(path, at(OmegaConf.to_container(_as_run(job, plain)), path))
        try:
            left = source.left if isinstance(source, Windows) else math.inf
        except (ValueError, OSError):  # the run says why there is no trace
            continue
        if isinstance(one.value, int) and one.value > left:
            yield (
                f"{one.text.lstrip('+')} is more than the {left} requests that {source.path} has to replay "
                f"({source.kept} more are kept for training): null replays them all"
            )


def _as_run(job: Job, plain: Mapping[str, Any]) -> DictConfig:
    """The trace with the rows that it keeps for training in this run."""
    return keeping_rows(OmegaConf.create({"trace": plain["trace"]}), bool(fitted(job.cfg)))


def _predictor(job: Job, node: Mapping[str, Any], names: frozenset[str], trace: str) -> Iterator[str]:
    called, predictor = str(node.get("_target_")), f"predictor={job.choices.get('predictor')}"
    if called == "policies.predictor.weights.load":
        called = f"{type(_built('predictor', node)).__module__}.load"
    kind = called.removeprefix("policies.predictor.")
    if node.get("rules") and called != kind and not set(KINDS) <= names:
        yield f"{predictor} needs a trace with text, for its rules; {trace} has none: give predictor=prompt_length"
    if called != kind and kind.startswith(TEXT) and "prompt_text" not in names:
        hint = ": give trace.with_text=true" if "with_text" in job.cfg.trace else ": give predictor=prompt_length"
        yield f"{predictor} needs a trace with prompt_text; {trace} has none{hint}"
    if kind.startswith("history.") and not set(map(str, node.get("keys", ()))) & names:
        keys = shown(node.get("keys"))
        yield f"{predictor} needs a trace with one of predictor.keys={keys}; {trace} has none: give predictor=constant"


def _told(job: Job, unit: str) -> str:
    return ", ".join(one.text for one in job.given if one.key == unit or one.key.startswith(f"{unit}."))
