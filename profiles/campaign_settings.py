"""The settings of a campaign: what it measures, how, and under which names; what cannot be measured is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from profiles import machine
from profiles.measure import check, check_device
from profiles.measuring import models
from profiles.operators.gpus import DATASHEETS
from profiles.profile import available, load, load_path

DTYPES = {"cuda": "bfloat16", "cpu": "float32"}


def device_name(device: str) -> str:
    """What a profile's device is called: the datasheet's name of it, else torch's in short, and `_eager`."""
    if device == "cpu":
        return "cpu_eager"
    reported = machine.device_facts(device)["device_name"]
    short = re.sub(r"[^a-z0-9]+", "_", reported.removeprefix("NVIDIA").lower()).strip("_")
    return f"{DATASHEETS.get(reported, short)}_eager"


def model_settings(config: DictConfig) -> dict[str, DictConfig]:
    """The settings of `profile measure` for each model of the campaign; ValueError for what cannot be measured."""
    minutes, chosen = config.minutes, config.models
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise ValueError(f"minutes must be a positive number, got {minutes!r}")
    if not isinstance(chosen, ListConfig) or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"models must be a list of different models, [gpt2,t5-small] say, got {chosen!r}")
    for model in chosen:
        models.source(str(model))
    device = str(config.device)
    check_device(device)
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"device must be cuda, cuda:N or cpu, got {device!r}")
    kind = device.split(":")[0]
    name = device_name(device) if config.name is None else str(config.name)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"name must be of letters, digits, '_', '-' and '.', got {name!r}")
    shared = {key: config[key] for key in ("threads", "cores", "seed", "restart")}
    shared["async_scheduling"] = False
    shared |= {
        "engine": "hf",
        "device": device,
        "name": name,
        "dtype": config.dtype or DTYPES[kind],
        "grid": config.grids[kind],
    }
    settings = {
        model: OmegaConf.create({**shared, "model": model, "output": str(Path(config.output, model, f"{name}.json"))})
        for model in chosen
    }
    for own in settings.values():
        check(own)
        check_name(own)
        if is_finished(own):
            check_same(own)
    try:
        Path(config.output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output must be a folder that can be written, got {config.output!r}: {error}") from error
    return settings


def check_name(own: DictConfig) -> None:
    """ValueError if a profile of this name ships that was not measured."""
    if (own.model, own.name) in available() and load(own.model, own.name).kind != "measured":
        kind = load(own.model, own.name).kind
        raise ValueError(
            f"name {own.name!r}: the {kind} profile of {own.model} is called so; name={own.name}_measured?"
        )


def is_finished(own: DictConfig) -> bool:
    """Whether a model's profile is written: its journal goes last."""
    output = Path(own.output)
    return output.exists() and not output.with_suffix(".partial.jsonl").exists()


def check_same(own: DictConfig) -> None:
    """ValueError if the finished profile is damaged, or was not measured as the settings say."""
    facts = load_path(own.output).provenance
    wanted = {
        "device_name": machine.device_facts(own.device)["device_name"],
        "dtype": own.dtype,
        "left_out_seed": own.seed,
        "grid": OmegaConf.to_container(own.grid, resolve=True),
    }
    other = [f"{key}: {facts[key]!r} there, {value!r} now" for key, value in wanted.items() if facts.get(key) != value]
    if other:
        raise ValueError(f"{own.output} was measured otherwise ({'; '.join(other)}); choose another output or name")
