"""Make a profile from a model's sizes and a device's datasheet."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from profiles import machine
from profiles.composed import Composed
from profiles.datasheets import read
from profiles.operators.architecture import Architecture
from profiles.operators.counts import Elements, Flops, encoder_total, generation_total, prefill_total
from profiles.operators.decoder import pass_seconds
from profiles.operators.encoder_decoder import encoder_decoder_seconds
from profiles.operators.huggingface import is_path, model_name, sizes_of
from profiles.operators.roofline import ELEMENT_BYTES, Device, Launching, Roofline
from profiles.operators.tensor_parallel import reduce_seconds
from profiles.point import Point, as_row, grid_points
from profiles.profile import DATA, kv_capacity
from profiles.release import describe, release
from sim.step import Step, attended_tokens

COUNTED_TOKENS = 512
APART = 0.1  # an error of mixed steps from which on a profile is not what to run on
MIXED = {"new": {128, 512, 2048}, "batch": {8, 32, 128}, "context": {512, 2048}}  # of steps that do both
INCLUDED = (
    "per layer: QKV, output, up (with gate) and down product, attention, two additions with normalization, activation; "
    "once: embedding, LM head on one token of each sequence; each the slower of computing and moving, and a launch"
)

WINDOW = "[A] layers with a window keep the KV of all tokens, as an engine without an allocator of its own for them"
EXPERTS = "[A] each token draws its experts uniformly: the number expected to be activated is read"


def analytic_seconds(model: Architecture, times: Roofline, point: Point, devices: int = 1) -> float:
    """Seconds of one pass of `point` with `model` shared by `devices`, each of which has the operator times `times`."""
    compose = encoder_decoder_seconds if model.encoder_layers else pass_seconds
    seconds = compose(model.sharded(devices), times, point, times.launching.host_seconds)
    return seconds + reduce_seconds(model, times, point, devices)


def analytic_points(grid: Any, model: Architecture) -> list[Point]:
    """The points of `grid` that `model` can be asked for: an encoder reads prompts whole, up to its longest."""
    points = grid_points(grid, model.max_model_len)
    if not model.encoder_layers:
        return points
    whole = [point for point in points if point.phase == "decode" or not point.computed]
    return [point for point in whole if point.new <= model.max_prompt]


def counted(model: Architecture) -> dict[str, dict[str, float]]:
    """FLOPs, elements and FLOP/element of the layers for a prompt of 512 tokens, and for generating as many.

    The scores count as elements, as they do unfused (arXiv 2302.14017); of an encoder-decoder the prompt's are the
    encoder's, and the generation's are without cross attention.
    """
    prompt = encoder_total if model.encoder_layers else prefill_total
    totals = {"prompt_512": prompt, "generation_512": generation_total}
    rows = {}
    for name, total in totals.items():
        flops, elements = (total(model, counts, COUNTED_TOKENS) for counts in (Flops(), Elements()))
        rows[name] = {"flops": flops, "elements": elements, "flops_per_element": round(flops / elements, 2)}
    return rows


def command(config: DictConfig) -> str:
    """How to run on the profile that `config` writes; or where to write it, if a run would not find it there."""
    output, model = Path(config.output), called(config.model)
    if output.suffix != ".json" or output.parent.name != model:
        return f"a run finds a profile that is written to output=FOLDER/{model}/NAME.json"
    folder = output.parent.parent
    where = "" if folder.resolve() == DATA.resolve() else f" cluster.devices.gpu.profile.folder={folder}"
    return f"run on it: tokenyard cluster=one model={model}{where} device={output.stem}"


def mixed_seconds(
    model: Architecture, times: Roofline, dtype: str, devices: int, points: Sequence[Point]
) -> pd.DataFrame | None:
    """Steps in which a prompt is prefilled while others decode, composed as one: what two curves cannot know.

    A row each: new (tokens of the prompt), batch, context (of each that decodes) and seconds; of the `points` of both
    curves those in MIXED. None where there are none, and of an encoder-decoder.
    """
    if model.encoder_layers:
        return None
    sizes, sheet = model.sharded(devices), times.device
    whole = Composed(
        "", sheet.name, "analytic", sizes, sheet, dtype, None, times.launching, 0, 1, 1.0, 0, model.max_model_len,
        {}, devices=devices,
    )  # fmt: skip
    prompts = [one.new for one in points if one.phase == "prefill" and one.batch == 1 and not one.computed]
    decoding = [(one.batch, one.computed + 1) for one in points if one.phase == "decode"]
    steps = {
        (new, batch, context): Step(new, attended_tokens(new, 0), batch, batch * context)
        for new in MIXED["new"].intersection(prompts)
        for batch, context in decoding
        if batch in MIXED["batch"] and context in MIXED["context"]
    }
    table = pd.DataFrame(steps.keys(), columns=["new", "batch", "context"])
    return table.assign(seconds=list(map(whole.step_time, steps.values()))) if steps else None


def called(model: str) -> str:
    """What the profiles of `model`, a name or the path of a config.json, are called."""
    if not is_path(model):
        return model
    path = Path(model).expanduser()
    return model_name(path / "config.json" if path.is_dir() else path)


OmegaConf.register_new_resolver("called", called, replace=True)


def make(config: DictConfig) -> Path:
    """Compose, fit and write a profile as `config` says (conf/analytic/config.yaml); return its path."""
    (name, model), devices = sizes_of(config.model, config.ignored), config.tensor_parallelism
    if model.only_encodes:
        raise ValueError(f"{name} only encodes, and a profile has decode steps: see profiles.composed")
    device, launching = read(Device, "device", config.device), read(Launching, "launching", config.launching)
    times = Roofline(device, config.dtype, launching)
    points = analytic_points(config.grid, model)
    seconds = (analytic_seconds(model, times, point, devices) for point in points)
    samples = pd.DataFrame(
        [{**as_row(point), "pass": 0, "seconds": taken} for point, taken in zip(points, seconds, strict=True)]
    )
    element_bytes = ELEMENT_BYTES[config.dtype]
    shard = model.sharded(devices)
    capacity = kv_capacity(
        device.memory_bytes,
        element_bytes * shard.parameter_count,
        shard.kv_bytes_per_token(element_bytes),
        config.utilization,
    )
    output = Path(config.output)
    _, fitted = release(
        output,
        samples,
        config.seed,
        model=name,
        device=config.name,
        facts={
            "kind": "analytic",
            "kv_bytes_per_token": devices * shard.kv_bytes_per_token(element_bytes),
            "move_bytes_per_second": devices * device.move_bytes_per_second,
            "kv_capacity_tokens": capacity,
            "max_model_len": min(model.max_model_len, config.grid.max_context),
            **({"window": model.window, "windowed": model.windowed_layers / model.layers} if model.window else {}),
        },
        provenance={
            "model_config": model.as_config(),
            "parameter_count": model.parameter_count,
            "weights": "none: operation counts",
            "dtype": config.dtype,
            "device_name": device.name,
            "driver": "none",
            "memory_bytes": devices * device.memory_bytes,
            "libraries": machine.library_versions(),
            "threads": 0,
            "date": machine.today(),
            "command": machine.command("profile analytic"),
            "source": "operation counts (arXiv 2302.14017) over a datasheet",
            "tensor_parallelism": devices,
            "datasheet": asdict(device),
            "launching": asdict(times.launching),
            "counts": counted(model),
            "included": INCLUDED,
            "assumptions": {
                "efficiency": "[D, A] shares of the datasheet's peaks, as conf/analytic/device says",
                "move": "[A] the datasheet's PCIe bandwidth in one direction, for each device",
                "memory": f"[A] {100 * config.utilization:g} % of the memory for weights and KV",
                **({"window": WINDOW} if model.window else {}),
                **({"experts": EXPERTS} if model.experts else {}),
            },
        },
        mixed=mixed_seconds(model, times, config.dtype, devices, points),
    )
    print(f"{output}\n{describe(fitted.residuals)}\n{command(config)}")
    off = fitted.residuals.get("mixed", {}).get("left_out", {}).get("p50", 0.0)
    if off > APART:
        print(
            f"note: steps that prefill and decode are off by {100 * off:.0f} % (the median of mixed): two curves count "
            f"the weights that both read twice. cluster=one model={config.model} composes each step whole instead"
        )
    return output


@hydra.main(version_base="1.3", config_path="conf/analytic", config_name="config")
def main(config: DictConfig) -> None:
    """The command line; see conf/analytic/config.yaml."""
    try:
        make(config)
    except ValueError as error:
        sys.exit(f"tokenyard profile analytic: {error}")


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile analytic")
