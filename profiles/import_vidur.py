"""Make a profile from the operator times that Vidur's profiler writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
from omegaconf import DictConfig, MissingMandatoryValue

from profiles import machine
from profiles.operators.architecture import Architecture, architecture
from profiles.operators.decoder import pass_seconds
from profiles.operators.tensor_parallel import reduce_seconds
from profiles.operators.vidur import ELEMENT_BYTES, VidurLink, VidurTimes, read_attention, read_products
from profiles.point import as_row
from profiles.profile import kv_capacity
from profiles.release import describe, release

INCLUDED = (
    "per layer: QKV, output, up (with gate) and down GEMM, rotary embedding, attention, KV write, two normalizations "
    "and additions, activation, all-reduces among several devices; once: embedding, LM head"
)


def samples_of(config: DictConfig, model: Architecture) -> pd.DataFrame:
    """The composed seconds of each measured point of attention, as a table of samples."""
    devices = config.tensor_parallelism
    shard = model.sharded(devices)
    products = read_products(config.mlp, model, devices, config.skip_bad)
    attention = read_attention(config.attention, model, devices, config.block_size, config.skip_bad)
    times = VidurTimes(products, attention, shard)
    if devices > 1 and config.all_reduce is None:
        raise ValueError(f"tensor_parallelism={devices} needs all_reduce=PATH, Vidur's table of the network")
    link = VidurLink(config.all_reduce, devices, config.skip_bad) if devices > 1 else None
    rows = []
    for point in times.points():
        seconds = pass_seconds(shard, times, point, config.host_seconds)
        seconds += reduce_seconds(model, link, point, devices) if link else 0.0
        rows.append({**as_row(point), "pass": 0, "seconds": seconds})
    return pd.DataFrame(rows)


def import_profile(config: DictConfig) -> Path:
    """Compose, fit and write a profile as `config` says (conf/import_vidur.yaml); return its path."""
    model, devices = architecture(config.model), config.tensor_parallelism
    samples = samples_of(config, model)
    shard = model.sharded(devices)
    kv_bytes = shard.kv_bytes_per_token(ELEMENT_BYTES)
    output = Path(config.output)
    provenance: dict[str, Any] = {
        "model_config": model.as_config(),
        "parameter_count": model.parameter_count,
        "weights": "none: composed of operator times",
        "dtype": config.dtype,
        "device_name": f"{devices} x {config.name}" if devices > 1 else config.name,
        "driver": "as in Vidur's tables",
        "memory_bytes": devices * config.memory_bytes,
        "libraries": machine.library_versions(),
        "threads": 0,
        "date": machine.today(),
        "command": machine.command("profile import vidur", leave_out=("output", "mlp", "attention", "all_reduce")),
        "source": config.source,
        "tensor_parallelism": devices,
        "host_seconds": config.host_seconds,
        "included": INCLUDED,
        "assumptions": {
            "host_seconds": f"[A] {config.host_seconds} s of host work a step, not in the operator tables",
            "head": "[A] the LM head costs as many times the up projection as it is wider: the tables have none",
            "dtype": f"[A] {config.dtype}: the tables do not say",
            "move": "[A] the datasheet's PCIe bandwidth in one direction, for each device",
            "memory": "[A] 90 % of the memory for weights and KV",
        },
    }
    reach = int((samples["computed"] + samples["new"]).max())
    _, fitted = release(
        output,
        samples,
        config.seed,
        model=config.model,
        device=config.name,
        facts={
            "kind": "imported",
            "kv_bytes_per_token": devices * kv_bytes,
            "move_bytes_per_second": devices * config.move_bytes_per_second,
            "kv_capacity_tokens": kv_capacity(config.memory_bytes, ELEMENT_BYTES * shard.parameter_count, kv_bytes),
            "max_model_len": min(model.max_model_len, reach),
        },
        provenance=provenance,
    )
    print(f"{output}\n{describe(fitted.residuals)}")
    return output


@hydra.main(version_base="1.3", config_path="conf", config_name="import_vidur")
def main(config: DictConfig) -> None:
    """The command line; see conf/import_vidur.yaml."""
    try:
        import_profile(config)
    except (ValueError, MissingMandatoryValue) as error:
        sys.exit(f"tokenyard profile import vidur: {error}")


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile import vidur")
