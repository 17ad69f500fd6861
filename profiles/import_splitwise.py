"""Make a profile from the measurements that splitwise-sim carries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig, MissingMandatoryValue

from profiles import machine
from profiles.csv_table import checked, read_csv
from profiles.operators.architecture import architecture
from profiles.point import as_row, decode_point, prefill_point
from profiles.profile import kv_capacity
from profiles.release import describe, release

MODELS = {"llama2-70b": "llama-2-70b", "bloom-176b": "bloom-176b"}
KEYS = ("model", "hardware", "tensor_parallel")
SIZES = ("batch_size", "prompt_size", "token_size")
TIMES = ("prompt_time", "token_time", "e2e_time")
ELEMENT_BYTES = 2
SLACK = 1.05


def chosen(table: pd.DataFrame, path: str, model: str, hardware: str, devices: int) -> pd.DataFrame:
    """The lines of one model on one kind and number of devices; ValueError names those that the table has."""
    wanted = (table["model"] == model) & (table["hardware"] == hardware) & (table["tensor_parallel"] == devices)
    if not wanted.any():
        known = sorted(set(table[list(KEYS)].itertuples(index=False, name=None)))
        names = "; ".join(f"{name} on {device}, {count}" for name, device, count in known)
        raise ValueError(f"{path}: nothing of {model} on {hardware}, tensor_parallel {devices}; it has {names}")
    return table[wanted]


def tokens_made(table: pd.DataFrame) -> pd.Series:
    """Output tokens of each sequence: the time after the prompt's, in steps, and the prompt's own first token.

    `token_size` is what was asked for: answers that ended before took less time in all, not in a step.
    """
    return 1 + (table["e2e_time"] - table["prompt_time"]) / table["token_time"]


def ran_together(table: pd.DataFrame) -> pd.Series:
    """Whether a line's batch ran as one: in all it took no more steps than `token_size`, up to 5 %.

    A batch that did not fit was run in parts: then `prompt_time` is a part's and the whole took many times the steps.
    """
    return tokens_made(table) <= SLACK * table["token_size"]


def samples_of(table: pd.DataFrame, max_prefill_tokens: int, context_seconds: float) -> pd.DataFrame:
    """Rows of phase, batch, new, computed, pass, seconds and derived: medians over the repeats of each size.

    `prompt_time` (ms) is a prefill of `batch_size` prompts of `prompt_size`, of `max_prefill_tokens` together at most;
    `token_time` (ms) the mean decode step, whose mean context is the prompt and half of the tokens made. Batches were
    measured at one context alone, which says nothing of how their steps grow with it: each has a second, `derived`
    row at the longest context of all, whose tokens more cost `context_seconds` each.
    """
    prompts = table.groupby(["batch_size", "prompt_size"])["prompt_time"].median() / 1e3
    points = [(prefill_point(*size), taken, False) for size, taken in prompts.items()]
    points = [row for row in points if row[0].tokens <= max_prefill_tokens]
    context = table["prompt_size"] + tokens_made(table).clip(lower=2) / 2
    steps = table.assign(context=context).groupby(list(SIZES))[["context", "token_time"]].median().reset_index()
    longest = round(steps["context"].max())
    for batch, mean, taken in zip(steps["batch_size"], steps["context"], steps["token_time"] / 1e3, strict=True):
        points.append((decode_point(int(batch), round(mean)), taken, False))
        if batch > 1:
            more = batch * (longest - round(mean)) * context_seconds
            points.append((decode_point(int(batch), longest), taken + more, True))
    rows = ({**as_row(point), "pass": 0, "seconds": taken, "derived": made} for point, taken, made in points)
    return pd.DataFrame(rows)


def read_table(path: str, model: str, hardware: str, devices: int, skip_bad: bool) -> tuple[pd.DataFrame, int]:
    """The checked lines of one model on its devices, and how many were left out because a batch ran in parts."""
    table = read_csv(path, (*KEYS, *SIZES, *TIMES))
    table = checked(table, path, ("tensor_parallel",), 1, skip_bad)  # the last column: a line cut short has none
    table = chosen(table, path, model, hardware, devices)
    table = checked(checked(table, path, SIZES, 1, skip_bad), path, TIMES, 0, skip_bad)
    together = ran_together(table)
    return table[together], int(np.count_nonzero(~together))


def import_profile(config: DictConfig) -> Path:
    """Read, fit and write a profile as `config` says (conf/import_splitwise.yaml); return its path."""
    if config.model not in MODELS:
        raise ValueError(f"unknown model {config.model!r}; known: {', '.join(MODELS)}")
    name, devices = MODELS[config.model], int(config.tensor_parallelism)
    model = architecture(name)
    table, parted = read_table(config.table, config.model, config.hardware, devices, config.skip_bad)
    shard = model.sharded(devices)
    output = Path(config.output)
    provenance: dict[str, Any] = {
        "model_config": model.as_config(),
        "parameter_count": model.parameter_count,
        "weights": "real",
        "dtype": config.dtype,
        "device_name": f"{devices} x {config.hardware}",
        "driver": "not said",
        "memory_bytes": devices * config.memory_bytes,
        "libraries": machine.library_versions(),
        "threads": 0,
        "date": machine.today(),
        "command": machine.command("profile import splitwise", leave_out=("output", "table")),
        "source": config.source,
        "tensor_parallelism": devices,
        "host_seconds": 0.0,
        "included": "whole passes as they were timed, host and all",
        "statistic": "median over the repeats of each size",
        "lines": len(table),
        "lines_left_out": parted,
        "assumptions": {
            "dtype": f"[A] {config.dtype}: the table does not say",
            "engine": "[A] the table names none; steps are as long as those of an eager engine",
            "context": "[D] of a mean decode step: the prompt and half of the tokens made, these from e2e_time",
            "batches": "[A] of several sequences were measured at prompts of 512 tokens alone; their steps grow with "
            f"context by its KV at {config.kv_bytes_per_second:g} bytes/s of each device (the derived samples)",
            "prefill": f"[D] batches of more than {config.max_prefill_tokens} tokens are left out: one context each",
            "left_out": "[D] lines whose batch took more steps than asked for, so that it ran in parts",
            "move": "[A] the datasheet's PCIe bandwidth in one direction, for each device",
            "memory": "[A] 90 % of the memory for weights and KV",
        },
    }
    longest = table["prompt_size"] + tokens_made(table)
    kv_bytes = shard.kv_bytes_per_token(ELEMENT_BYTES)
    samples = samples_of(table, config.max_prefill_tokens, kv_bytes / config.kv_bytes_per_second)
    _, fitted = release(
        output,
        samples,
        config.seed,
        model=name,
        device=config.name,
        facts={
            "kind": "imported",
            "kv_bytes_per_token": devices * kv_bytes,
            "move_bytes_per_second": devices * config.move_bytes_per_second,
            "kv_capacity_tokens": kv_capacity(config.memory_bytes, ELEMENT_BYTES * shard.parameter_count, kv_bytes),
            "max_model_len": int(longest.max()),
        },
        provenance=provenance,
    )
    print(f"{output}\n{len(table)} lines, {parted} left out\n{describe(fitted.residuals)}")
    return output


@hydra.main(version_base="1.3", config_path="conf", config_name="import_splitwise")
def main(config: DictConfig) -> None:
    """The command line; see conf/import_splitwise.yaml."""
    try:
        import_profile(config)
    except (ValueError, MissingMandatoryValue) as error:
        sys.exit(f"tokenyard profile import splitwise: {error}")


if __name__ == "__main__":
    sys.exit("this is now: tokenyard profile import splitwise")
