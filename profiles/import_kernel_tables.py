"""Make a fitted profile from measured kernel tables."""

from __future__ import annotations

import sys
from pathlib import Path

import hydra
import pandas as pd
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from profiles import machine
from profiles.kernel_profile import KernelProfile
from profiles.operators.architecture import architecture
from profiles.point import Point, as_row, grid_points
from profiles.release import describe, release
from sim.step import Step

INCLUDED = (
    "per layer: attention, all dense layers, two normalizations; once: embedding, last normalization, LM head and "
    "sampler on each sequence"
)
ASSUMPTIONS = {
    "move": "[A] the nominal bandwidth of the device's PCIe link in one direction",
    "host": "nothing passes beside the kernels: give it as the device's host_time",
    "memory": "[D] the stated share of the device's memory, less the weights; activations are not taken off",
    "several prompts": "[D] count as one chunk that asks for as much attention: the tables have one chunk a step",
}


def sample_points(kernels: KernelProfile, points: list[Point]) -> pd.DataFrame:
    """The composed seconds of each point, as a table of samples."""
    return pd.DataFrame(
        [{**as_row(point), "pass": 0, "seconds": kernels.step_time(step_of(point))} for point in points]
    )


def step_of(point: Point) -> Step:
    """The step that a point is."""
    if point.phase == "prefill":
        return Step(prefill_tokens=point.tokens, prefill_attended=point.attended, prefill_jobs=point.batch)
    return Step(decode_jobs=point.batch, decode_context=point.attended)


def import_profile(config: DictConfig) -> Path:
    """Compose, fit and write a profile as `config` says (conf/import_kernel_tables.yaml); return its path."""
    kernels: KernelProfile = instantiate(config.tables)
    model = architecture(kernels.model)
    output = Path(config.output)
    _, fitted = release(
        output,
        sample_points(kernels, grid_points(config.grid, kernels.max_model_len)),
        config.seed,
        model=kernels.model,
        device=kernels.device,
        facts={
            "kind": "imported",
            "kv_bytes_per_token": kernels.kv_bytes_per_token,
            "move_bytes_per_second": kernels.move_bytes_per_second,
            "kv_capacity_tokens": kernels.kv_capacity_tokens,
            "max_model_len": kernels.max_model_len,
        },
        provenance={
            "model_config": model.as_config(),
            "parameter_count": model.parameter_count,
            "weights": "none: composed of kernel times",
            "dtype": "bfloat16",
            "device_name": config.device_name,
            "driver": "as in the tables",
            "memory_bytes": config.tables.memory_bytes,
            "libraries": machine.library_versions(),
            "threads": 0,
            "date": machine.today(),
            "command": machine.command("profile import kernels"),
            **kernels.provenance,
            "host_seconds": 0.0,
            "included": INCLUDED,
            "assumptions": ASSUMPTIONS,
        },
    )
    print(f"{output}\n{describe(fitted.residuals)}")
    return output


@hydra.main(version_base="1.3", config_path="conf", config_name="import_kernel_tables")
def main(config: DictConfig) -> None:
    """The command line; see conf/import_kernel_tables.yaml."""
    try:
        import_profile(config)
    except (ValueError, OSError, InstantiationException) as error:
        sys.exit(f"tokenyard profile import kernels: {error.__cause__ or error}")


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile import kernels")
