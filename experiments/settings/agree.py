"""Settings that contradict, replace or ignore one another."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from experiments.conf import HERE as CONF
from experiments.run.inputs import read_trace
from experiments.run.references import leaves
from experiments.run.results import Loader
from experiments.run.training import fitted, keeping_rows
from experiments.settings import parts
from experiments.settings.composer import Job
from experiments.settings.parts import at
from experiments.settings.reached import Reads
from experiments.settings.routes import misrouted, named_models
from experiments.settings.signatures import target
from experiments.settings.wording import shown
from traces.kinds import KINDS
from traces.schema import BY_MODEL
from traces.windows import Windows

SLOTS = ("order", "batching", "routing", "eviction")
SWAPS = ("policies.eviction.swap.Swap", "policies.eviction.keep_then_swap.KeepThenSwap")
CALLED = {
    "prompt_ids": "prompt ids",
    "priority": "priorities",
    "features": "text, for its rules",
    "samples": "several answers to each prompt",
}


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


def how_to_bring(said: str) -> str:
    """What brings a constant of the calibration that, as `said`, nothing here has: its yaml, in the part's defaults."""
    for file in sorted((CONF / "calibration").glob("*.yaml")):
        for name in yaml.load(file.read_bytes(), Loader):
            if f"'calibration.{name}'" in said:
                return f"; a part that takes it has /calibration/{file.stem}@_global_.calibration in its defaults"
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
    routed = list(misrouted(job, plain))
    yield from routed
    yield from _host(job, plain)
    if not routed:
        yield from _trace(job, plain)
        yield from _horizon(job, plain)
        yield from _window(job, plain)


def _system(job: Job) -> Iterator[str]:
    """What a system says against what was given beside it."""
    system = job.choices.get("system")
    if system is None:
        return
    path = CONF / "system" / f"{system}.yaml"
    bare: dict[str, Any] = {"defaults": [{"override /policy": system}]}
    says = yaml.load(path.read_bytes(), Loader) if path.is_file() else bare
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
    """A model that was given and that the cluster ignores."""
    models = named_models(plain)
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


def _host(job: Job, plain: Mapping[str, Any]) -> Iterator[str]:
    """Swaps that have nowhere to go."""
    if at(plain, "policy.eviction._target_") not in SWAPS:
        return
    for name, entry in plain["cluster"]["devices"].items():
        tokens, block = at(entry, "host.tokens"), entry["block_size"]
        if entry["count"] and isinstance(tokens, int) and tokens < block:
            which = f"policy/eviction={job.choices.get('policy/eviction')}"
            yield (
                f"cluster.devices.{name}.host.tokens={tokens} is a host memory of 0 blocks (block_size={block}): "
                f"{which} has nowhere to swap to"
            )


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
    if plain.get("reward") is not None and "task" not in columns.names:
        yield f"reward={job.choices.get('reward')} needs a trace with tasks; {trace} has none"
    models = sorted(set(named_models(plain).values()))
    of_models = sorted(name for name in columns.names if name.startswith(BY_MODEL))
    if of_models and not {f"{BY_MODEL}{model}" for model in models} & set(of_models):
        yield f"{trace} has {', '.join(of_models)}, and the cluster {', '.join(models)}: nobody answers so"
    if "task" in columns.names:
        yield from _worth(job, plain, models)
    if "prompt_ids" not in columns.names:
        for name, entry in plain["cluster"]["devices"].items():
            if entry["prefix_caching"]:
                yield f"cluster.devices.{name}.prefix_caching=true needs a trace with prompt ids; {trace} has none"
    carried = columns.names | ({"features"} if set(KINDS) <= columns.names else set())
    for group in (*(f"policy/{slot}" for slot in SLOTS), "predictor"):
        node = at(plain, group.replace("/", "."))
        for field in _needs(group, node):
            either = (field,) if isinstance(field, str) else field
            if not set(either) & carried:
                what = CALLED.get(either[0], either[0]) if len(either) == 1 else f"one of {', '.join(either)}"
                yield (
                    f"{group}={job.choices.get(group)} needs a trace with {what}; {trace} has none"
                    f"{_instead(job, either) if group == 'predictor' else ''}"
                )


def _worth(job: Job, plain: Mapping[str, Any], models: Sequence[str]) -> Iterator[str]:
    """A task of the trace, or a model of the cluster, of whose answers nobody says what they are worth."""
    quality, tasks = at(plain, "reward.quality"), at(plain, "trace.tasks")
    if not isinstance(quality, dict):
        return
    reward = f"reward={job.choices.get('reward')}: reward.quality"
    if lacking := [str(task) for task in tasks or () if task not in quality]:
        yield f"{reward} has no task {', '.join(lacking)} of trace={job.choices.get('trace')}"
    for task, of_model in quality.items():
        if isinstance(of_model, dict) and (lacking := [model for model in models if model not in of_model]):
            yield f"{reward}.{task} has no {', '.join(lacking)} of cluster={job.choices.get('cluster')}"
            return


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


def _needs(group: str, node: Mapping[str, Any]) -> Iterable[str | tuple[str, ...]]:
    """Of what a request may carry (`sim.Request`) that which a part must have, of a tuple one of its names.

    The module of a part says so, as `NEEDS`: the names, or a function of the part's settings that gives them.
    """
    path = group.replace("/", ".")
    modules = {target(str(node["_target_"])).__module__, type(_built(path, node)).__module__}
    for module in sorted(modules):
        needs = getattr(sys.modules.get(module), "NEEDS", ())
        yield from needs(node) if callable(needs) else needs


def _instead(job: Job, lacking: tuple[str, ...]) -> str:
    """What to give where the trace has not what a predictor needs."""
    if len(lacking) > 1:
        return ": give predictor=constant"
    with_text = lacking == ("prompt_text",) and "with_text" in job.cfg.trace
    return ": give trace.with_text=true" if with_text else ": give predictor=prompt_length"


def _told(job: Job, unit: str) -> str:
    return ", ".join(one.text for one in job.given if one.key == unit or one.key.startswith(f"{unit}."))
