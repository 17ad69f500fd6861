"""Make a profile from aiconfigurator's operator times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from profiles import machine
from profiles.operators.architecture import Architecture, architecture
from profiles.operators.decoder import OperatorTimes, pass_seconds
from profiles.point import Point, as_row, grid_points
from profiles.profile import kv_capacity
from profiles.release import describe, release

ELEMENT_BYTES = 2
INCLUDED = (
    "per layer: QKV, output, up (with gate) and down GEMM, attention, two additions with normalization, activation; "
    "once: embedding, LM head on one token of each sequence; bfloat16, one GPU"
)


def sample_points(model: Architecture, times: OperatorTimes, points: list[Point], host_seconds: float) -> pd.DataFrame:
    """The composed seconds of each point, as a table of samples."""
    rows = [
        {**as_row(point), "pass": 0, "seconds": pass_seconds(model, times, point, host_seconds)}
        for point in tqdm(points, unit="point", dynamic_ncols=True)
    ]
    return pd.DataFrame(rows)


def assumptions(config: DictConfig, model: Architecture) -> dict[str, Any]:
    """What the profile takes for granted rather than from a table, tagged [A] for assumed or [D] for derived."""
    stated: dict[str, Any] = {
        "host_seconds": f"[A] {config.host_seconds} s of host work a step, not in the operator tables",
        "elementwise": "[D] bytes over the empirical share of the datasheet's bandwidth, plus the system's constant",
        "attention": "[D] held above the datasheet's roofline; context attention has rotary embedding and KV write",
        "move": "[A] the datasheet's PCIe bandwidth in one direction",
        "memory": "[A] 90 % of the memory for weights and KV",
    }
    if model.kv_heads != model.heads and model.kv_heads not in (1, 2, 4, 8):
        stated["kv_heads"] = f"[D] {model.kv_heads} kv heads: interpolated between the measured numbers beside it"
    elif model.kv_heads == model.heads and model.heads > 8:
        stated["kv_heads"] = (
            f"[D] generation attention with {model.heads} kv heads: extrapolated by aiconfigurator from at most 8"
        )
    return stated


def import_profile(config: DictConfig) -> Path:
    """Compose, fit and write a profile as `config` says (conf/import_aiconfigurator.yaml); return its path."""
    from profiles.operators.aiconfigurator import AiconfiguratorTimes

    model = architecture(config.model)
    times = AiconfiguratorTimes(config.system, config.framework, config.version)
    gpu = times.specification["gpu"]
    samples = sample_points(model, times, grid_points(config.grid, model.max_model_len), config.host_seconds)
    kv_bytes = model.kv_bytes_per_token(ELEMENT_BYTES)
    output = Path(config.output)
    _, fitted = release(
        output,
        samples,
        config.seed,
        model=config.model,
        device=config.name,
        facts={
            "kind": "imported",
            "kv_bytes_per_token": kv_bytes,
            "move_bytes_per_second": float(times.specification["node"]["pcie_bw"]),
            "kv_capacity_tokens": kv_capacity(gpu["mem_capacity"], ELEMENT_BYTES * model.parameter_count, kv_bytes),
            "max_model_len": min(model.max_model_len, config.grid.max_context),
        },
        provenance={
            "model_config": model.as_config(),
            "parameter_count": model.parameter_count,
            "weights": "none: composed of operator times",
            "dtype": "bfloat16",
            "device_name": config.system,
            "driver": "as in aiconfigurator's tables",
            "memory_bytes": gpu["mem_capacity"],
            "libraries": machine.library_versions("aiconfigurator"),
            "threads": 0,
            "date": machine.today(),
            "command": machine.command("profile import aiconfigurator"),
            "source": f"aiconfigurator (Apache-2.0), {config.framework} {times.version} on {config.system}",
            "host_seconds": config.host_seconds,
            "included": INCLUDED,
            "assumptions": assumptions(config, model),
        },
    )
    print(f"{output}\n{describe(fitted.residuals)}")
    return output


@hydra.main(version_base="1.3", config_path="conf", config_name="import_aiconfigurator")
def main(config: DictConfig) -> None:
    """The command line; see conf/import_aiconfigurator.yaml."""
    try:
        import_profile(config)
    except ModuleNotFoundError as error:
        sys.exit(f"tokenyard profile import aiconfigurator: {error}: pip install 'tokenyard[aiconfigurator]'")
    except ValueError as error:
        sys.exit(f"tokenyard profile import aiconfigurator: {error}")


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile import aiconfigurator")
