"""What was run: the settings that differ, all settings, what the numbers rest on, and the limits of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd

from experiments.report.page import Cell, folded, table, tag
from experiments.report.sweep import Sweep, varying
from experiments.settings.wording import shown as as_yaml
from experiments.tables.labels import shown

FEW = 12  # values of a setting that are told
LIKE = 40  # characters in which texts are alike that tell of the same thing
LIMITS = {  # of a batching -> in words
    "max_num_seqs": "requests in a batch",
    "batch_size": "requests in a static batch",
    "max_num_batched_tokens": "tokens in a step",
    "chunked_prefill": "prompts in chunks",
    "long_prefill_token_threshold": "tokens of a chunk (0: no bound)",
}


def differing(sweep: Sweep) -> list[Element]:
    """The settings in which the runs differ, each with its values; then all that any run was made of, folded."""
    rows = [(name, (_few(sweep.table[name]), "text")) for name in varying(sweep.table)]
    seen = [table(("setting", "values"), rows)] if rows else [tag("p", "One run, or runs that differ in nothing.")]
    leaves: dict[str, dict[str, None]] = {}
    for run in dict.fromkeys(sweep.table["run"]):
        for name, value in _leaves(sweep.config(run)):
            leaves.setdefault(name, {})[as_yaml(value)] = None
    every = [(name, (_listed(list(values)), "text")) for name, values in leaves.items()]
    return [*seen, folded(f"All {len(every)} settings", table(("setting", "value"), every))]


def _leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its dotted name."""
    if isinstance(value, Mapping) and value:
        for key, inside in value.items():
            yield from _leaves(inside, f"{above}.{key}" if above else str(key))
    else:
        yield above, value


def _kinds(column: pd.Series) -> str:
    """The different texts, one of each beginning: a seed may have its own end."""
    first: dict[str, list[str]] = {}
    for text in map(str, column.drop_duplicates()):
        first.setdefault(text[:LIKE], []).append(text)
    return "; ".join(f"{texts[0]}{f' (and {len(texts) - 1} like it)' * (len(texts) > 1)}" for texts in first.values())


def _few(column: pd.Series) -> str:
    known = column.drop_duplicates()
    numbers = pd.api.types.is_numeric_dtype(known)
    return _listed([shown(value) for value in (known.sort_values() if numbers else known)])


def _listed(values: list[str]) -> str:
    return ", ".join(values[:FEW]) + (f" and {len(values) - FEW} more" if len(values) > FEW else "")


def provenance(sweep: Sweep) -> list[Element]:
    """Where the trace and each device's times come from, by what code, and when."""
    columns = [name for name in sweep.table if name.startswith("provenance.")]
    rows: list[list[Cell]] = [
        [name.removeprefix("provenance."), (_kinds(sweep.table[name].dropna()), "text")] for name in columns
    ]
    statuses = [folder.status() for folder in sweep.folders.values()]
    days = sorted(str(status.get("at", ""))[:16].replace("T", " ") for status in statuses)
    rows += [
        ["made", (f"{days[0]} to {days[-1]} UTC" if days[0] != days[-1] else f"{days[0]} UTC", "text")],
        ["by", (f"tokenyard {version('tokenyard')}; the code and inputs of each run stand in its config.yaml", "text")],
        ["kept in", (", ".join(map(str, sweep.roots)), "text")],
    ]
    return [table(("", "where it comes from"), rows)]


def limits(sweep: Sweep) -> list[Element]:
    """What bounds a batch, on each device: a row for each different set of limits."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for _, row in sweep.table.drop_duplicates("run").iterrows():
        config = sweep.config(row["run"])
        for name, device in config["cluster"]["devices"].items():
            if device and device.get("count", 1):
                kv = row.get(f"kv.{name}", "")
                found.setdefault(_limits(name, device, config["policy"], kv), []).append(str(row["policy"]))
    rows: list[list[Cell]] = [
        [name, count, (batch, "text"), (kv, "text"), (_listed(list(dict.fromkeys(of))), "text")]
        for (name, count, batch, kv), of in found.items()
    ]
    return [table(("device", "count", "a batch", "KV", "policies"), rows)]


def _limits(name: str, device: Mapping[str, Any], policy: Mapping[str, Any], kv: Any) -> tuple[str, str, str, str]:
    batching = device.get("batching") or policy.get("batching") or {}
    told = [f"{words}: {as_yaml(batching[key])}" for key, words in LIMITS.items() if key in batching]
    whose = str(batching.get("_target_", "")).rpartition(".")[2]
    longest = device.get("max_model_len")
    room = [str(kv)] if isinstance(kv, str) and kv else []
    room += [f"blocks of {device.get('block_size', 1)} tokens"]
    room += [f"at most {longest} tokens a request"] if longest else []
    return name, str(device.get("count", 1)), f"{whose}: {', '.join(told)}" if told else whose, ", ".join(room)
