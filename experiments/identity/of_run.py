"""What a run's results depend on, and which of several runs still count: configuration, inputs and code, by content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.conf.copies import copied
from experiments.identity.digests import digest_of_file
from experiments.identity.of_code import code_of, files_beside, is_code, source

IRRELEVANT = ("name", "results", "experiment", "reference", "hydra")  # they do not change a run
SPOKEN = ("model",)  # read by what refers to them alone: they count where they are referred to
OF_LOAD = ("load_of",)  # read where there is a `load` alone
MAKERS = ("sim", "sim.metrics", "experiments.run.inputs", "experiments.run.parts", "experiments.run.measure")  # always
ENCODER = "policies.predictor.encoder"


def identity(cfg: DictConfig, choices: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, Any]:
    """What a run's results depend on: its configuration, the digests of what it reads, and of the code that makes them.

    `choices` (the groups' options) are kept for tables: they are names of what the configuration says.
    """
    config = _with_plain_paths(resolved(cfg))
    code = made_by(config)
    return {
        "choices": dict(sorted(choices.items())),
        "code": hashlib.sha256(json.dumps(code).encode()).hexdigest()[:16],
        "inputs": dict(sorted({**inputs, **files_of(config), **_encoder(code)}.items())),
        "config": config,
    }


def digest(made_of: Mapping[str, Any]) -> str:
    """The name of the folder of a run that is made of `made_of`: 16 hexadecimal digits.

    Settings that mean the same give the same. What says nothing of code is of an older kind, or no simulation: all of
    it counts, as it is spelled.
    """
    if "code" in made_of:
        said = {"code": made_of["code"], "inputs": made_of["inputs"], "config": _meant(made_of["config"])}
        made_of = said
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """The configuration in plain values; a reference to a calibration that is yet to be found stays one."""
    cfg = copied(cfg)
    OmegaConf.set_struct(cfg, False)
    for name in [name for name in IRRELEVANT if name in cfg]:
        del cfg[name]
    found = [name for name in cfg.get("calibration", ()) if cfg.calibration[name] is None]
    for name in found:
        cfg.calibration[name] = f"<calibration.{name}>"
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    replaced = _replaced(plain, {f"<calibration.{name}>": f"${{calibration.{name}}}" for name in found})
    if found:
        replaced["calibration"].update(dict.fromkeys(found))
    return replaced


def made_by(config: Mapping[str, Any]) -> dict[str, str]:
    """Module, or file of a plug-in -> digest, of the code that makes the results of a resolved configuration."""
    return code_by(named_in(config))


def named_in(config: Mapping[str, Any]) -> frozenset[str]:
    """The dotted names of code in a resolved configuration."""
    calibration = config.get("calibration", {})
    used = {key: value for key, value in config.items() if key != "calibration"}
    wanted, finders = set(_texts(used)), calibration.get("found_by", {})
    used["found"] = [part for name, part in finders.items() if f"${{calibration.{name}}}" in wanted]
    used["told"] = calibration.get("told_by", {})
    return frozenset(text.removeprefix("!") for text in _texts(used) if text.startswith("!") or is_code(text))


def code_by(named: frozenset[str]) -> dict[str, str]:
    """Module, or file of a plug-in -> digest, of the code of a run whose configuration names `named`."""
    code = dict(_code(named))
    return code | files_beside(code, named)  # files may change while a process lasts; what it has loaded does not


@lru_cache(maxsize=256)
def _code(named: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(code_of(MAKERS, sorted(named)).items())


def files_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Path -> sha256 of each file that a part of a run names, as weights or a plug-in's data; of a folder, all in it.

    Traces and profiles are hashed by what was read of them. A text is taken for a file only where it holds a / or has
    a suffix, for a folder only where it holds a /: other words may be the names of files by chance.
    """
    found: dict[str, str] = {}
    for text in _texts({key: _without_profiles(config.get(key)) for key in ("policy", "predictor", "cluster")}):
        if "\0" in text or not ("/" in text or Path(text).suffix):
            continue
        try:
            path = Path(text).expanduser()
            if path.is_file():
                found[f"file.{text}"] = digest_of_file(path)
            elif "/" in text and path.is_dir():
                inside = sorted(file for file in path.rglob("*") if file.is_file())
                found |= {f"file.{text}: {file.relative_to(path)}": digest_of_file(file) for file in inside}
        except (OSError, RuntimeError):  # a text that is too long for a name, or names nobody's home
            continue
    return found


def _encoder(code: Mapping[str, str]) -> dict[str, str]:
    """The sha256 of the weights of the sentence encoder, where code that uses it makes the run."""
    if ENCODER not in code:
        return {}
    from policies.predictor.encoder import PACKAGE

    place = source(PACKAGE)
    files = sorted((place.parent / "model").rglob("*")) if place else []
    sums = [[file.name, digest_of_file(file)] for file in files if file.is_file()]
    return {"encoder": hashlib.sha256(json.dumps(sums).encode()).hexdigest()}


def _texts(value: Any) -> Iterator[str]:
    """All texts among the values, a `_target_` marked by a !."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (f"!{item}",) if key == "_target_" and isinstance(item, str) else _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _without_profiles(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_profiles(item) for key, item in value.items() if key != "profile"}
    return value


def _with_plain_paths(value: Any) -> Any:
    """`value` with each path of a file or a folder that is there spelled in one way: /a/./b as /a/b."""
    if isinstance(value, Mapping):
        return {key: _with_plain_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_plain_paths(item) for item in value]
    if not isinstance(value, str) or "/" not in value or "\0" in value:
        return value
    plain = os.path.normpath(value)
    try:
        return plain if plain != value and os.path.samefile(value, plain) else value
    except OSError:  # a text that names nothing
        return value


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, texts) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, texts) for item in value]
    return texts.get(value, value) if isinstance(value, str) else value


def _meant(config: Mapping[str, Any]) -> Any:
    """The part of a resolved configuration that a run reads, spelled in one way: 1.0 as 1, names in order.

    The order of devices counts, and that of the keys of a mapping that is given to a part as it is.
    """
    unread = (*IRRELEVANT, *SPOKEN, *(() if config.get("load") is not None else OF_LOAD))
    read = {str(key): value for key, value in config.items() if key not in unread}
    said = {key: _spelled(value, ordered=key in ("trace", "policy", "predictor")) for key, value in read.items()}
    devices = config.get("cluster", {}).get("devices", {}) if isinstance(config.get("cluster"), Mapping) else {}
    return {**said, "devices": list(devices or {})}


def _spelled(value: Any, ordered: bool) -> Any:
    if isinstance(value, Mapping):
        items = [[str(key), _spelled(item, ordered or "_target_" in value)] for key, item in value.items()]
        return items if ordered and "_target_" not in value else sorted(items)
    if isinstance(value, list | tuple):
        return ["list", [_spelled(item, ordered) for item in value]]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
