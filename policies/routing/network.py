"""A multilayer perceptron that values each model: arrays and plain values in one .npz, no pickle, with its origin."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.routing.features import Features, Numbers

VERSION = 1
SHIPPED = Path(__file__).parent / "data"
BROKEN = (  # what numpy, zipfile and zlib raise at a file that is none, or a part of one
    ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


class NetworkError(ValueError):
    """A file that holds no network of this version; the message names the file and what is wrong."""


@dataclass(frozen=True, eq=False)
class Network:
    """Layers of `weights` (inputs, outputs) and `biases` (outputs), max(0, x) between them: a value for each model."""

    features: Features
    weights: tuple[Numbers, ...]
    biases: tuple[Numbers, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = [self.features.size, *(bias.size for bias in self.biases)]
        shapes = [weight.shape for weight in self.weights]
        if not all(array.dtype.kind == "f" for array in (*self.weights, *self.biases)):
            raise ValueError(f"weights must be floats, got {[str(one.dtype) for one in (*self.weights, *self.biases)]}")
        if not all(bias.ndim == 1 for bias in self.biases):
            raise ValueError(f"biases must have one axis, got {[bias.shape for bias in self.biases]}")
        if not shapes or shapes != list(pairwise(sizes)) or sizes[-1] != len(self.features.models):
            raise ValueError(f"layers of {shapes} do not lead from {sizes[0]} numbers to {self.features.models}")
        if not all(np.isfinite(array).all() for array in (*self.weights, *self.biases)):
            raise ValueError("a weight is not finite")

    def values(self, numbers: Numbers) -> Numbers:
        """What each model is worth, where the features are `numbers` (..., size): float32 (..., models)."""
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            numbers = numbers @ weight + bias
            if layer < last:
                np.maximum(numbers, 0.0, out=numbers)
        return numbers


def save(network: Network, path: Path) -> None:
    """Write `network` in half precision, under a temporary name first."""
    content = {"version": VERSION, "features": asdict(network.features), "provenance": dict(network.provenance)}
    arrays: dict[str, NDArray[Any]] = {"content": np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        arrays |= {f"weight{layer}": weight.astype(np.float16), f"bias{layer}": bias.astype(np.float16)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp.npz")
    try:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(file: str | Path) -> Network:
    """The network in the file that `find(file)` finds."""
    path = find(file)
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        content = json.loads(arrays.pop("content").tobytes())
        if content["version"] != VERSION:
            raise ValueError(f"version is {content['version']!r}, this reads {VERSION!r}")
        layers = range(len(arrays) // 2)
        weights, biases = (tuple(arrays.pop(f"{kind}{layer}") for layer in layers) for kind in ("weight", "bias"))
        if arrays:
            raise ValueError(f"has arrays that no layer has: {', '.join(arrays)}")
        for name in ("tasks", "models"):
            if not isinstance(content["features"][name], list):
                raise ValueError(f"{name} must be a list of names, got {content['features'][name]!r}")
        made = Network(Features(**content["features"]), weights, biases, dict(content["provenance"]))
        return replace(made, weights=_single(made.weights), biases=_single(made.biases))
    except BROKEN as error:
        raise NetworkError(f"{path}: holds no network: {error}") from error


def _single(arrays: tuple[Numbers, ...]) -> tuple[Numbers, ...]:
    return tuple(array.astype(np.float32) for array in arrays)


def find(file: str | Path) -> Path:
    """The file `file`; a name without a folder is that of one that ships, and only else of a file here.

    So ./NAME is always the file here (as text: a Path does not keep the dot). FileNotFoundError names those that ship.
    """
    bare = not os.path.dirname(file)
    found = next((path for path in (*([SHIPPED / file] if bare else []), Path(file)) if path.is_file()), None)
    if found is None:
        shipped = sorted(path.name for path in SHIPPED.glob("*.npz"))
        raise FileNotFoundError(f"no network {str(file)!r}; those that ship: {', '.join(shipped)}")
    return found
