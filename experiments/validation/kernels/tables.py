"""The kernel tables of a device and a model: which files there are, and what their profile.meta.yaml states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from profiles.collective import devices_of
from profiles.operators.architecture import Architecture

NEEDED = ("attention", "dense", "per_sequence")
OPTIONAL = ("skew", "moe", "collective")
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True, slots=True)
class KernelTables:
    """Kernel times of `model` in `dtype` on one of `devices` that share it; `gpu` is what the driver calls it.

    `paths` are the files that there are, by kind; `engine` is what the profile states of the engine that was measured.
    """

    prefix: str
    gpu: str
    model: str
    dtype: str
    devices: int
    paths: Mapping[str, Path]
    engine: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The device, and how many of it share the model."""
        return self.gpu + (f", one of {self.devices}" if self.devices > 1 else "")

    def check(self, model: Architecture) -> None:
        """ValueError where `model` needs a table that there is not."""
        if model.experts and "moe" not in self.paths:
            raise ValueError(
                f"{self.prefix}_moe.csv.gz is missing: {self.model} has {model.experts} experts a layer, and no other "
                "table says what they take"
            )


def read_tables(prefix: str) -> KernelTables:
    """The tables whose paths begin with `prefix`; FileNotFoundError or ValueError names the file, key and value."""
    found = {kind: path for kind in (*NEEDED, *OPTIONAL) if (path := _existing(f"{prefix}_{kind}")) is not None}
    for kind in NEEDED:
        if kind not in found:
            raise FileNotFoundError(f"no {prefix}_{kind}.csv.gz: TABLES is what the paths of the tables begin with")
    devices = devices_of(found["attention"])
    path = Path(f"{prefix}_profile.meta.yaml")
    if not path.is_file() and devices > 1:  # one file for all degrees
        path = path.with_name(path.name.replace(f"_tp{devices}_", "_"))
    meta = _mapping(path)
    degrees = meta.get("tp_degrees", [devices])
    if not isinstance(degrees, list) or devices not in degrees:
        raise ValueError(f"{path}: tp_degrees must be a list with {devices}, which {prefix} is of, got {degrees!r}")
    variant = _text(path, meta, "variant")
    if variant not in DTYPES:
        raise ValueError(f"{path}: variant must be one of {', '.join(DTYPES)}, got {variant!r}")
    engine = meta.get("engine_effective") or {}
    if not isinstance(engine, Mapping):
        raise ValueError(f"{path}: engine_effective must be a mapping, got {engine!r}")
    return KernelTables(
        prefix, _text(path, meta, "gpu"), _text(path, meta, "model"), DTYPES[variant], devices, found, engine
    )


def _existing(stem: str) -> Path | None:
    return next((path for ending in (".csv.gz", ".csv") if (path := Path(stem + ending)).is_file()), None)


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no {path}: it says which device and which model the tables are of") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(meta, Mapping):
        raise ValueError(f"{path}: it must be a mapping, got {type(meta).__name__}")
    return meta


def _text(path: Path, meta: Mapping[str, Any], key: str) -> str:
    value = meta.get(key)
    if value is None:
        raise ValueError(f"{path}: it does not say {key}")
    if not isinstance(value, str) or not value:
        raise ValueError(f"{path}: {key} must be a text, got {value!r}")
    return value
