"""Fitted predictors in files: arrays and plain values in one .npz, no pickle, with where they come from."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sim.policy import Predictor

VERSION = 1
FORMER = "policies.predictors."  # what older files call the first of the packages
PACKAGES = ("policies.predictor.", "sim.prediction.")  # where the classes of a file are from
BROKEN = (  # what numpy, zipfile and zlib raise at a file that is none, or a part of one
    ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
SHIPPED = Path(__file__).parent / "data"


class WeightsError(ValueError):
    """A file that holds no predictor of this version; the message names the file and what is wrong."""


def save(predictor: Predictor, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write a fitted predictor, under a temporary name first; TypeError for one that holds more than plain values."""
    arrays: dict[str, NDArray[Any]] = {}
    content = {"version": VERSION, "provenance": dict(provenance), "predictor": _plain(predictor, arrays)}
    text = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp.npz")
    try:
        np.savez_compressed(temporary, content=text, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(weights: str | Path) -> Predictor:
    """The predictor in the file that `find(weights)` finds."""
    path = find(weights)
    content, arrays = _read(path)
    try:
        predictor = _made(content["predictor"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: holds no predictor: {error}") from error
    if not callable(getattr(predictor, "predict", None)):
        raise WeightsError(f"{path}: holds no predictor but a {type(predictor).__name__}")
    return cast(Predictor, predictor)


def provenance(weights: str | Path) -> dict[str, Any]:
    """Where the predictor in a file comes from."""
    return dict(_read(find(weights))[0]["provenance"])


def find(weights: str | Path) -> Path:
    """The file `weights`, or else that one of those that ship (MODEL/PREDICTOR.npz); FileNotFoundError names them."""
    found = next((path for path in (Path(weights), SHIPPED / weights) if path.is_file()), None)
    if found is None:
        shipped = sorted(str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*.npz"))
        raise FileNotFoundError(f"no weights {str(weights)!r}; those that ship: {', '.join(shipped)}")
    return found


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The content of a file and its arrays."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        content = json.loads(arrays.pop("content").tobytes())
        version = content["version"]
    except BROKEN as error:
        raise WeightsError(f"{path}: cannot be read as weights: {error}") from error
    if version != VERSION:
        raise WeightsError(f"{path}: version is {version!r}, this reads {VERSION!r}")
    return content, arrays


def _plain(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON can say it, with its arrays put aside."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if names := _field_names(type(value)):
        fields = {name: _plain(getattr(value, name), arrays) for name in names}
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", "fields": fields}
    if isinstance(value, Mapping):
        return {"mapping": [[key, _plain(item, arrays)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_plain(item, arrays) for item in value]}
    raise TypeError(f"a {type(value).__name__} is no plain value: {value!r:.80}")


def _made(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What `_plain` took apart."""
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "mapping" in value:
        return {key: _made(item, arrays) for key, item in value["mapping"]}
    if "tuple" in value:
        return tuple(_made(item, arrays) for item in value["tuple"])
    return _class(value["class"])(**{name: _made(item, arrays) for name, item in value["fields"].items()})


def _class(name: str) -> type:
    """The dataclass called `name`, if it is one that predictors are made of."""
    module, _, plain = name.replace(FORMER, PACKAGES[0]).rpartition(".")
    if not f"{module}.".startswith(PACKAGES):
        raise ValueError(f"unknown class {name!r}")
    try:
        found = getattr(importlib.import_module(module), plain)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"unknown class {name!r}") from error
    if not (isinstance(found, type) and _field_names(found) and found.__module__ == module):
        raise ValueError(f"unknown class {name!r}")
    return found


def _field_names(kind: type) -> tuple[str, ...]:
    """What a dataclass or a named tuple is made of; nothing of any other class."""
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return tuple(getattr(kind, "_fields", ()))
