"""A device running a model, as the simulator sees it: how long a step takes, and how much KV fits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from profiles.curve import Curve
from profiles.point import chunk, windowed_tokens
from sim.step import Line, Step

SCHEMA_VERSION = 1
DATA = Path(__file__).parent / "data"
KINDS = ("measured", "imported", "analytic", "derived")
WINDOW = ("window", "windowed")  # of a profile whose layers have one
PROVENANCE = (
    "model_config",
    "parameter_count",
    "weights",
    "dtype",
    "device_name",
    "driver",
    "libraries",
    "threads",
    "date",
    "command",
    "samples",
    "samples_sha256",
    "residuals",
)


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What `model` costs on `device`; implements `sim.step.Profile`.

    `fixed_seconds` is the part of a step that prefill and decode share (weights are read and kernels launched once).
    KV moves between device and host at `move_bytes_per_second`; `kv_capacity_tokens` fit on the device beside the
    weights; no request may be longer than `max_model_len` tokens. `provenance` says where the numbers come from. In a
    share `windowed` of the layers tokens attend to the last `window` alone: the curves are of the mean over layers of
    what is attended to (`seen`).
    """

    model: str
    device: str
    kind: str
    prefill: Curve
    decode: Curve
    fixed_seconds: float
    kv_bytes_per_token: int
    move_bytes_per_second: float
    kv_capacity_tokens: int
    max_model_len: int
    provenance: Mapping[str, Any] = field(repr=False, hash=False)
    window: int = 0
    windowed: float = 0.0
    uneven: ClassVar[bool] = False  # its curves know of the jobs' total context alone

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.model} on {self.device}: kind must be one of {KINDS}, got {self.kind!r}")
        if self.fixed_seconds < 0:
            raise ValueError(f"{self.model} on {self.device}: fixed_seconds is negative: {self.fixed_seconds}")
        for name in ("kv_bytes_per_token", "move_bytes_per_second", "kv_capacity_tokens", "max_model_len"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.model} on {self.device}: {name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.windowed <= 1 or (self.windowed > 0) != (self.window > 0):
            share = f"windowed={self.windowed} of the layers, window={self.window}"
            raise ValueError(f"{self.model} on {self.device}: a window is of a share of the layers, got {share}")
        missing = [key for key in PROVENANCE if key not in self.provenance]
        if missing:
            raise ValueError(f"{self.model} on {self.device}: the provenance lacks {', '.join(missing)}")

    def step_time(self, step: Step) -> float:
        """Seconds that `step` takes; an empty step takes none; ValueError outside the measured range."""
        prefill_tokens, attended, jobs, context, moved_tokens, _, _, _, _, _ = step
        seconds = 0.0
        if prefill_tokens:
            seen = self.seen(prefill_tokens, attended) if self.window else attended
            line = self.prefill.line(prefill_tokens, seen)
            seconds = line.base + line.slope * seen
        if jobs:
            line = self.decode_line(jobs, context) if self.window else self.decode.line(jobs, context)
            decode = line.base + line.slope * context
            shared = self.fixed_seconds  # weights read and kernels launched once are paid once
            shared = decode if decode < shared else shared
            seconds = seconds + decode - (seconds if seconds < shared else shared)
        if moved_tokens:
            seconds += moved_tokens * self.kv_bytes_per_token / self.move_bytes_per_second
        return seconds

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        """Seconds of a decode step of `jobs` as a function of their total context, as `step_time` gives them.

        Contexts count as if they were alike: with a window, all of them are beyond it or none is.
        """
        if not self.window:
            return self.decode.line(jobs, context)
        far = jobs * self.window
        if context <= far:
            line = self.decode.line(jobs, context)
            return replace(line, until=min(line.until, far))
        full = 1 - self.windowed
        line = self.decode.line(jobs, far + full * (context - far))
        return Line(line.base + line.slope * self.windowed * far, line.slope * full, math.inf, far)

    def seen(self, tokens: int, attended: float) -> float:
        """What `tokens` of prompts attend to on average over the layers: `attended` tokens where a layer sees all.

        They count as the one chunk with as much to attend to (`profiles.point.chunk`).
        """
        near = windowed_tokens(*chunk(tokens, attended), self.window)
        return attended + self.windowed * (near - attended)


def kv_capacity(memory_bytes: int, weight_bytes: int, kv_bytes_per_token: int, utilization: float = 0.9) -> int:
    """Tokens of KV that fit in the `utilization` share of the memory, beside the weights; ValueError if none does."""
    tokens = int((memory_bytes * utilization - weight_bytes) // kv_bytes_per_token)
    if tokens < 1:
        raise ValueError(f"weights of {weight_bytes} bytes leave no room for KV in {memory_bytes} bytes of memory")
    return tokens


def available(folder: Path = DATA) -> list[tuple[str, str]]:
    """(model, device) of every profile in `folder`."""
    return sorted((path.parent.name, path.stem) for path in folder.glob("*/*.json"))


def load(model: str, device: str, folder: str | Path | None = None) -> DeviceProfile:
    """The profile of `model` on `device` in `folder` (None: those that ship); ValueError names those that exist."""
    data = DATA if folder is None else Path(folder)
    path = data / model / f"{device}.json"
    if not path.is_file():
        known = available(data)
        near = [f"{m} on {d}" for m, d in known if m == model] or [f"{m} on {d}" for m, d in known if d == device]
        models = ", ".join(near or dict.fromkeys(m for m, _ in known)) or "none"
        raise ValueError(f"no profile of {model} on {device} in {data}, which holds: {models}")
    return load_path(path)


def scaled(model: str, device: str, factor: float, name: str, folder: str | Path | None = None) -> DeviceProfile:
    """The profile of a device called `name` that takes `factor` times as long as `device` for everything; `derived`."""
    if not factor > 0:
        raise ValueError(f"factor must be positive, got {factor}")
    base = load(model, device, folder)
    return replace(
        base,
        device=name,
        kind="derived",
        prefill=base.prefill.scaled(factor),
        decode=base.decode.scaled(factor),
        fixed_seconds=base.fixed_seconds * factor,
        provenance={**base.provenance, "derived": f"{factor:g} times the seconds of {model} on {device} ({base.kind})"},
    )


def load_path(path: str | Path) -> DeviceProfile:
    """The profile in a json file; ValueError names the file and what is wrong with it."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid json: {error}") from error
    if not isinstance(document, dict) or "schema_version" not in document:
        raise ValueError(f"{path}: not a profile: schema_version is missing")
    version = document.pop("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path}: schema_version is {version}, this tokenyard reads {SCHEMA_VERSION}")
    name = f"{document.get('model')} on {document.get('device')}"
    try:
        curves: dict[str, Any] = {
            part: _read_curve(f"{name}, {part}", document.pop(part)) for part in ("prefill", "decode")
        }
        return DeviceProfile(**document, **curves)
    except KeyError as error:
        raise ValueError(f"{path}: field {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def save(profile: DeviceProfile, path: str | Path) -> None:
    """Write `profile` as json, to a temporary name first."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    for name in DeviceProfile.__slots__:
        value = getattr(profile, name)
        if name in WINDOW and not value:
            continue
        if isinstance(value, Curve):
            value = {key: part for key, part in asdict(value).items() if key != "name"}
        document[name] = dict(value) if isinstance(value, Mapping) else value
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _read_curve(name: str, document: dict[str, Any]) -> Curve:
    lists: dict[str, Any] = {key: tuple(document[key]) for key in ("knots", "base", "slope")}
    return Curve(name, **lists, **{key: document[key] for key in document if key not in lists})
