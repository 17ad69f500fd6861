"""Everything that can be known to be wrong with a command before its first run, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.run.load import system_of
from experiments.run.references import leaves, within
from experiments.run.training import fitted
from experiments.settings import agree, devices, parts
from experiments.settings.command import Command
from experiments.settings.composer import Composer, Given, Job
from experiments.settings.covering import jobs
from experiments.settings.parts import at
from experiments.settings.reached import OPTIONAL, Reads
from experiments.settings.referred import References
from experiments.settings.signatures import node_problems
from experiments.settings.toplevel import SEED, TOP_LEVEL, calibration_problems, check_writable, top_level_problems
from experiments.settings.wording import SettingError, did_you_mean, one_line, short, shown
from sim import Decoding, HostMemory, HostTime

MOST_JOBS = 200  # of a sweep that are all looked at; of more, so many that every two values meet
PLACEHOLDERS = {"phi": 1e-3, "eta": 1e-2, "tau": 100.0, "batch_size": 8, "steps": {}}  # for what a run finds; else 1
UNITS = ("policy", "predictor", "trace", "cluster")


def problems(command: Command) -> list[str]:
    """A line for each thing wrong with `command`, every job of a sweep looked at; none if it can run."""
    found: dict[str, None] = {}
    unread: dict[str, str] = {}
    read: set[str] = set()
    references = References()
    try:
        with command.composer() as composer:
            axes = command.axes(composer)
            found.update(dict.fromkeys(_seed_problems(composer, dict(axes).get("seed", [])[1:])))
            for texts in jobs(axes, MOST_JOBS):
                try:
                    job = composer.job(composer.parsed(list(texts)))
                except SettingError as error:
                    found.update(dict.fromkeys(error.lines))
                    continue
                checked = JobCheck(job)
                lines = [one_line(_naming(line, job)) for line in checked.lines()]
                found.update(dict.fromkeys(lines))
                command.fits = command.fits or (not lines and bool(fitted(job.cfg)))
                command.folders.add((job.cfg.get("results"), job.cfg.get("name")))
                references.add(job)
                idle = checked.unread() | ({} if lines else checked.idle())
                idle = {text: line for text, line in idle.items() if not _mentioned(text, lines)}
                unread.update(idle)
                read.update(one.text for one in job.given if one.text not in idle)
            found.update(dict.fromkeys(command.add(composer.lacking)))
    except SettingError as error:
        found.update(dict.fromkeys(error.lines))
    found.update(dict.fromkeys(one_line(line) for text, line in unread.items() if text not in read))
    if not found:
        found.update(dict.fromkeys(references.problems()))
    return list(found)


def unwritable(command: Command) -> list[str]:
    """A line for each folder of results that cannot be made, or written to."""
    lines: list[str] = []
    for folder in command.folders:
        try:
            check_writable(*folder)
        except SettingError as error:
            lines += error.lines
    return lines


def _seed_problems(composer: Composer, texts: list[str]) -> Iterator[str]:
    """A line for each seed after the first that is none: what else is wrong with a job does not hang on its seed."""
    for override in composer.parsed(texts):
        value = override.value()
        for one in value if isinstance(value, list) else [value]:
            if problem := SEED.problem(one):
                yield f"seed={shown(one)} {problem}"


def _naming(line: str, job: Job) -> str:
    """`line`, with what was given where it names none of that."""
    if any(one.key in line for one in job.given):
        return line
    key = line.split("=")[0].split(" ")[0]
    near = [one.text for one in job.given if within(key, one.key.rpartition(".")[0] or one.key)]
    return f"{line} (given {short(' '.join(near or [one.text for one in job.given])) or 'nothing'})"


def _mentioned(text: str, lines: list[str]) -> bool:
    bare = text.lstrip("+").replace("'", "")
    return any(line.replace("'", "").startswith(bare) for line in lines)


def composes(command: Command) -> None:
    """SettingError where the first job of `command` cannot be composed."""
    with command.composer() as composer:
        composer.job(composer.parsed([texts[0] for _, texts in command.axes(composer)]))


class JobCheck:
    """What is wrong with the configuration of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.reads = Reads(job.cfg)
        self._before = leaves(job.before)
        self._given = {one.key: one for one in job.given if not one.group}

    def lines(self) -> Iterator[str]:
        """A line for each problem; later checks only where the earlier ones found none."""
        for check in (self._unresolved, self._wrong_types, self._refused, self._disagreements):
            found = list(check())
            yield from found
            if found:
                return

    def unread(self) -> dict[str, str]:
        """Each setting given that nothing reads, as it was typed, with the line that says so."""
        idle = {}
        for given in self.job.given:
            if given.group or given.deleted or (given.key == "model" and agree.has_models(self.job)):
                continue
            names = [key for key in self.reads.raw if within(key, given.key)]
            if all(key in self._before and self._before[key] == self.reads.raw[key] for key in names):
                continue  # a default that is said again
            if not any(name in self.reads for name in names):
                idle[given.text] = self._unread_line(given)
        return idle

    def idle(self) -> dict[str, str]:
        """Each setting given that is read and changes nothing, as it was typed, with the line that says why."""
        return devices.idle(self.job, self.plain)

    def _unread_line(self, given: Given) -> str:
        said = f"{given.key}={shown(given.value)}"
        if given.added and given.key.split(".")[0] not in self.job.before:
            near = did_you_mean(given.key, [*map(str, self.job.before), *self._before])
            return f"{said} is read by nothing: no part of a run has or refers to it{near}"
        if why := agree.why_unread(given.key, self.job, self.reads):
            return f"{said} is read by nothing here: {why}"
        known = [key for key in self.reads.raw if key in self.reads and key != given.key]
        return f"{said} is read by nothing{did_you_mean(given.key, known)}"

    def named(self, path: str) -> str:
        """The setting from which the value at `path` comes, with that value."""
        source = self.reads.source(path)
        value = OmegaConf.select(self.job.cfg, source, throw_on_resolution_failure=False, throw_on_missing=False)
        if source in self._given:
            return short(self._given[source].text.lstrip("+"))
        if not OmegaConf.is_config(value):
            return f"{source}={shown(value)}" if source in self.reads.raw else source
        behind = self.reads.behind(source)
        near = [given.text for key, given in self._given.items() if any(within(name, key) for name in behind)]
        group = source.replace(".", "/")
        unit = group.split("/")[0]
        chosen = [f"{one}={self.job.choices[one]}" for one in (group, unit) if self.job.choices.get(one)][:1]
        above = [one.text for one in self.job.given if one.group and one.key in ("experiment", "system")]
        return ", ".join(dict.fromkeys([*chosen, *above, *near])) + ("" if group == unit else f": {source}")

    def _unresolved(self) -> Iterator[str]:
        cfg = self.job.cfg
        for unit in UNITS:
            if not OmegaConf.is_dict(cfg.get(unit)):
                yield f"{unit}={shown(cfg.get(unit))}: a run needs a {unit}"
        for key in sorted(self.reads.raw):
            if key not in self.reads and key not in self._given and key.split(".")[0] not in (*UNITS, *TOP_LEVEL):
                continue
            if self.reads.raw[key] == "???":
                yield f"{key} is missing: give {key}=VALUE"
                continue
            try:
                OmegaConf.select(cfg, key)
            except OmegaConfBaseException as error:
                said = str(error).splitlines()[0].rpartition("raised while resolving interpolation: ")[2]
                yield f"{key}={shown(self.reads.raw[key])} cannot be resolved: {said}{agree.how_to_bring(said)}"
        for given in self.job.given:
            yield from self._overruled(given)

    def _overruled(self, given: Given) -> Iterator[str]:
        """A line if `given` is not what the configuration holds in the end."""
        if given.deleted:
            return
        if given.group:
            chosen = self.job.choices.get(given.key)
            single = isinstance(given.value, str) and not given.added
            if single and chosen != given.value:
                yield f"{given.text} is overruled: {given.key}={shown(chosen)} is what would run; give one of them"
            return
        wanted = leaves(OmegaConf.create({"value": given.value}), "")
        for name, value in wanted.items():
            key = given.key + name.removeprefix("value")
            if key in self.reads.raw and self.reads.raw[key] != value and value == value:  # nan is no value's equal
                yield f"{given.text} is overruled by {key}={shown(self.reads.raw[key])}: give one of them"

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The configuration resolved, with something in place of what only a run finds; the first seed of several."""
        cfg = self.job.cfg.copy()
        for name, value in (cfg.get("calibration") or {}).items():
            if value is None:
                cfg.calibration[name] = PLACEHOLDERS.get(str(name), 1)
        if OmegaConf.is_list(cfg.get("seed")) and len(cfg.seed):
            cfg.seed = cfg.seed[0]
        return {key: _plain(cfg[key]) for key in (*UNITS, "reward", "load", "load_of", "slo") if key in cfg}

    def _wrong_types(self) -> Iterator[str]:
        cfg = self.job.cfg
        yield from top_level_problems({str(key): _plain(cfg[key]) for key in cfg if key not in UNITS})
        seeds = _plain(cfg.get("seed"))
        if seeds == [] or any(map(SEED.problem, seeds if isinstance(seeds, list) else [seeds])):
            return
        yield from calibration_problems(
            {key: OmegaConf.select(cfg, key) for key in self.reads.raw if key in self.reads}
        )
        plain = self.plain
        for unit in ("policy", "predictor", "trace"):
            if "_target_" not in plain[unit]:
                yield f"{unit}._target_ is missing: it names the class of the {unit}"
            yield from node_problems(plain[unit], unit, self.named)
        cluster = plain["cluster"]
        for path, node in (("reward", plain.get("reward")), ("cluster.link", cluster.get("link"))):
            if not _is_part(node, null=True):
                yield f"{self.named(path)} must be null, or a part: a mapping with a _target_"
            yield from node_problems(node, path, self.named)
        if not isinstance(cluster.get("steps_together", False), bool):
            yield f"{self.named('cluster.steps_together')} must be true or false"
        devices = cluster.get("devices")
        if not isinstance(devices, dict) or not devices:
            yield f"{self.named('cluster.devices')}: a cluster needs devices"
            return
        for name, entry in devices.items():
            yield from parts.device_problems(name, entry, self.named)
            for key in ("profile", "batching", *OPTIONAL) if isinstance(entry, dict) else ():
                if not _is_part(entry.get(key), null=key != "profile"):
                    said = self.named(f"cluster.devices.{name}.{key}")
                    yield f"{said} must be {'' if key == 'profile' else 'null, or '}a part: a mapping with a _target_"
            yield from node_problems(entry, f"cluster.devices.{name}", self.named)

    def _refused(self) -> Iterator[str]:
        plain = self.plain
        for path in ("policy", "predictor", "trace", "cluster.link", "reward"):
            yield from self._part_problems(path, plain)
        unknown = list(devices.unknown_model(self.reads, plain))
        yield from unknown
        for name in plain["cluster"]["devices"]:
            for part in ("batching", *OPTIONAL) if unknown else ("profile", "batching", *OPTIONAL):
                yield from self._part_problems(f"cluster.devices.{name}.{part}", plain)

    def _part_problems(self, path: str, plain: Mapping[str, Any]) -> Iterator[str]:
        node = at(plain, path)
        if node is None:
            if path.endswith("profile"):
                yield f"{path}=null: a device needs a profile"
            return
        try:
            part = parts.built(path, json.dumps(node))
        except parts.RefusedError as error:
            inner = at(plain, error.path)
            yield parts.refusal(error, inner if isinstance(inner, dict) else {}, self.named)
            return
        last = path.rsplit(".", 1)[-1]
        methods = {"trace": "replay", "profile": "step_time", "batching": "select", "reward": "rewards"}
        if path == "policy":
            yield from parts.policy_problems(part, node)
        elif last == "predictor" and not parts.is_predictor(part):
            yield f"{path}={shown(node.get('_target_'))} is no predictor: it must derive from sim.Predictor"
        elif last == "host" and not isinstance(part, HostMemory):
            yield f"{path}={shown(node.get('_target_'))} must be a sim.HostMemory, or null"
        elif last == "host_time" and not isinstance(part, HostTime):
            yield f"{path}={shown(node.get('_target_'))} must be a sim.HostTime, or null"
        elif last == "decoding" and not isinstance(part, Decoding):
            yield f"{path}={shown(node.get('_target_'))} must be a sim.Decoding, or null"
        elif last in methods and not callable(getattr(part, methods[last], None)):
            yield f"{path}={shown(node.get('_target_'))} is no {last}: it has no method {methods[last]}"

    def _disagreements(self) -> Iterator[str]:
        yield from agree.disagreements(self.job, self.reads, self.plain)
        for check in (devices.too_long, devices.undecoded, devices.crowded, devices.unseen):
            yield from check(self.plain, self.named)
        if self.plain.get("load") is not None:
            try:
                system_of(str(self.plain.get("load_of")), [one.text for one in self.job.given])
            except ValueError as error:
                yield str(error)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _is_part(node: Any, null: bool) -> bool:
    return (null and node is None) or (isinstance(node, dict) and "_target_" in node)
