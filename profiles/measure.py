"""Measure a model on this machine and fit a profile to it."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
from omegaconf import DictConfig, ListConfig, OmegaConf
from tqdm import tqdm

from profiles import machine
from profiles.measuring import models
from profiles.measuring.anchors import corrected, described, repeatability, rounded, uncertainty
from profiles.measuring.journal import Journal
from profiles.measuring.passes import Pass, Passes, Shown, estimate, sample_table
from profiles.point import Point, grid_points
from profiles.profile import DeviceProfile, kv_capacity
from profiles.release import describe, release


def settings_of(config: DictConfig, running: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two measurements the same one, for the journal."""
    chosen: Any = OmegaConf.to_container(config, resolve=True)
    names = ("engine", "model", "device", "dtype", "seed", "cores", "async_scheduling", "grid")
    kept = {key: chosen[key] for key in names}
    device_name = machine.device_facts(config.device)["device_name"]
    return {**kept, "device_name": device_name, **running, **machine.library_versions("torch", "transformers")}


def check(config: DictConfig) -> None:
    """ValueError for settings that cannot be measured."""
    models.source(config.model)
    check_device(config.device)
    check_dtype(config.dtype)
    if not isinstance(config.threads, int) or config.threads < 0:
        raise ValueError(f"threads must be a number from 0 on, got {config.threads!r}")
    cores = config.cores
    if cores is not None and not (isinstance(cores, ListConfig) and cores and all(isinstance(c, int) for c in cores)):
        raise ValueError(f"cores must be a list of CPUs, [1] say, or null, got {cores!r}")
    if not isinstance(config.seed, int) or config.seed < 0:
        raise ValueError(f"seed must be a number from 0 on, got {config.seed!r}")
    if not isinstance(config.grid.passes, int) or config.grid.passes < 1:
        raise ValueError(f"grid.passes must be positive, got {config.grid.passes}")
    if not isinstance(config.grid.anchor_every, int) or config.grid.anchor_every < 1:
        raise ValueError(f"grid.anchor_every must be positive, got {config.grid.anchor_every}")
    if not isinstance(config.restart, bool):
        raise ValueError(f"restart must be true or false, got {config.restart!r}")


def check_device(device: str) -> None:
    """ValueError for what is not one of torch's devices, or is not here."""
    import torch

    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be one of torch's, cpu or cuda say, got {device!r}") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r}: torch finds {torch.cuda.device_count() or 'no'} CUDA devices here")


def check_dtype(dtype: str) -> None:
    """ValueError for what is not the name of one of torch's dtypes."""
    import torch

    if not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        raise ValueError(f"dtype must be one of torch's, float32 or bfloat16 say, got {dtype!r}")


def timed_model(config: DictConfig) -> Any:
    """The model of `config` in the engine that it names: called with a point it gives the seconds of a pass."""
    if config.engine == "hf":
        from profiles.measuring.forward import Forward

        model = models.load(config.model, config.device, config.dtype, config.seed)
        return Forward(model, config.seed, config.grid.warmups, config.grid.repeats)
    if config.engine == "vllm":
        from profiles.measuring.vllm_forward import VllmForward

        return VllmForward(config)
    raise ValueError(f"engine must be hf or vllm, got {config.engine!r}")


def nothing() -> None:
    """What a measurement does before each timing unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A model that is built, the passes to make over it, and the journal of those that were made."""

    config: DictConfig
    forward: Any
    passes: Passes
    journal: Journal
    running: Mapping[str, Any]
    allocator: str

    @property
    def longest(self) -> int:
        """The longest sequence that is measured, in tokens."""
        return min(int(self.forward.longest), int(self.config.grid.max_context))

    @property
    def share_left(self) -> float:
        """The share of the timings that the journal lacks."""
        return self.passes.share_left(self.journal)

    def pass_seconds(self, before: Callable[[], None] = nothing) -> float:
        """About how long one pass takes by the clock, s, warm-ups and repeats included; `before` as in `run`."""

        def taken(point: Point) -> float:
            before()
            begin = time.perf_counter()
            self.forward(point)
            return time.perf_counter() - begin

        grid = self.passes
        self.forward.anchor(*grid.anchor)  # the first pass of a process is slow, whatever it is
        begin = time.perf_counter()
        self.forward.anchor(*grid.anchor)
        readings = (1 + math.ceil(len(grid.points) / grid.every)) * (time.perf_counter() - begin)
        return estimate(taken, list(grid.points)) + readings

    def run(self, before: Callable[[], None] = nothing, label: str | None = None) -> list[Pass]:
        """Make the passes that the journal lacks, under a progress bar.

        `before` is called before each timing, and ends the run by raising: the journal keeps what was timed.
        """
        total = self.passes.count * len(self.passes.points)
        with tqdm(total=total, desc=label, unit="point", smoothing=0.05, dynamic_ncols=True) as bar:
            return self.passes.run(Shown(self.forward, before, bar), self.journal, bar)

    def write(self, passes: list[Pass], program: str) -> DeviceProfile:
        """Fit a profile to the passes, set against their anchor, and write it where the config says.

        The journal is removed.
        """
        import torch

        from profiles.measuring.forward import copy_bandwidth

        config, forward = self.config, self.forward
        readings = [reading for one in passes for reading in one.readings]
        samples = corrected(sample_table(passes), readings)
        apart = {name: repeatability(samples, name) for name in ("raw_seconds", "seconds")}
        anchors = described(readings)
        print(f"{config.model}: {uncertainty(anchors, apart)}", file=sys.stderr)
        mixed = time_mixed(forward, config.grid.mixed) if config.engine == "vllm" else None
        facts = machine.device_facts(config.device)
        capacity = kv_capacity(facts["memory_bytes"], forward.weight_bytes, forward.kv_bytes_per_token)
        profile, _ = release(
            Path(config.output),
            samples,
            config.seed,
            model=config.model,
            device=config.name,
            facts={
                "kind": "measured",
                "kv_bytes_per_token": forward.kv_bytes_per_token,
                "move_bytes_per_second": float(f"{copy_bandwidth(torch.device(config.device)):.4g}"),
                "kv_capacity_tokens": capacity,
                "max_model_len": self.longest,
            },
            provenance={
                "model_config": described_config(forward.config),
                "parameter_count": forward.parameter_count,
                "weights": models.source(config.model).weights,
                "dtype": config.dtype,
                **facts,
                "libraries": machine.library_versions(*forward.libraries),
                "engine": config.engine,
                "engine_described": forward.described,
                "allocator": self.allocator,
                **self.running,
                **({"vllm": forward.stated} if config.engine == "vllm" else {}),
                "grid": OmegaConf.to_container(config.grid, resolve=True),
                "date": machine.today(),
                "command": machine.command(program),
                "statistic": "median over the passes, each sample at the anchor's median speed",
                "anchor": anchors,
                "anchor_readings": rounded(readings, readings[0].at),
                "apart": apart,
            },
            mixed=mixed,
        )
        self.journal.remove()
        return profile


def begin(config: DictConfig) -> Measurement:
    """Build the model of `config` (conf/measure.yaml) and open its journal; ValueError for what cannot be measured."""
    output = Path(config.output)
    if output.suffix != ".json":
        raise ValueError(f"output must be a .json file, got {output}")
    check(config)
    allocator = machine.keep_freed_memory() if config.device == "cpu" else "torch's"
    machine.hold(config.threads, config.cores)
    forward = timed_model(config)  # before the journal: what cannot be measured leaves none behind
    grid = config.grid
    running = machine.running() if config.engine == "hf" else {key: forward.stated[key] for key in ("threads", "cores")}
    machine.check_held(running, config.threads, config.cores)
    batch, context = grid.anchor
    points = grid_points(grid, min(forward.longest, grid.max_context), forward.longest_prompt)
    passes = Passes(points, (batch, context), grid.anchor_every, grid.passes, config.seed)
    journal = Journal(output.with_suffix(".partial.jsonl"), settings_of(config, running), config.restart)
    return Measurement(config, forward, passes, journal, running, allocator)


def measure(config: DictConfig) -> Path:
    """Measure as `config` says (conf/measure.yaml), write the profile, and return its path."""
    measurement = begin(config)
    passes, output = measurement.passes, Path(config.output)
    if not measurement.journal.events:
        minutes = passes.count * measurement.pass_seconds() / 60
        print(
            f"{config.model}: {passes.count} passes over {len(passes.points)} points, about {minutes:.0f} min",
            flush=True,
        )
    profile = measurement.write(measurement.run(), "profile measure")
    print(f"{output}\n{describe(profile.provenance['residuals'], profile.provenance['residuals_uncorrected'])}")
    return output


def time_mixed(forward: Any, grid: DictConfig) -> pd.DataFrame:
    """Seconds of steps in which a prompt is prefilled while jobs decode (new, batch, context, seconds)."""
    combinations = list(itertools.product(grid.new, grid.batch, grid.context)) * grid.passes
    rows = [
        {"new": new, "batch": batch, "context": context, "seconds": forward.mixed(new, batch, context)}
        for new, batch, context in tqdm(combinations, unit="mixed step", dynamic_ncols=True)
    ]
    return pd.DataFrame(rows)


def described_config(config: Any) -> dict[str, Any]:
    """The model config's sizes: the entries that decide what a pass costs."""
    names = (
        "model_type",
        "is_encoder_decoder",
        "num_hidden_layers",
        "encoder_layers",
        "decoder_layers",
        "num_decoder_layers",
        "hidden_size",
        "intermediate_size",
        "n_inner",
        "ffn_dim",
        "d_ff",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "max_position_embeddings",
        "tie_word_embeddings",
    )
    return {name: getattr(config, name) for name in names if getattr(config, name, None) is not None}


@hydra.main(version_base="1.3", config_path="conf", config_name="measure")
def main(config: DictConfig) -> None:
    """The command line; see conf/measure.yaml."""
    try:
        measure(config)
    except (ValueError, ModuleNotFoundError) as error:
        sys.exit(f"tokenyard profile measure: {error}")


if __name__ == "__main__":
    main()
