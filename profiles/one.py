"""The profile of a replica by the names of its model and its device: one that is stored, or one composed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from profiles.composed import Composed, composed
from profiles.devices import CONFIGS, SUFFIX
from profiles.operators.architecture import ARCHITECTURES
from profiles.operators.huggingface import is_path
from profiles.profile import DATA, DeviceProfile, available, load

SOURCES = ("stored", "composed")
DEFAULTS: dict[str, Any] = {"dtype": "bfloat16", "launching": "graphs", "utilization": 0.9}


def one(
    model: str,
    device: str,
    source: str | None = None,
    folder: str | Path | None = None,
    *,
    tensor_parallelism: int = 1,
    dtype: str | None = None,
    weights: str | None = None,
    launching: str | None = None,
    utilization: float | None = None,
    max_model_len: int | None = None,
    ignored: Sequence[str] = (),
) -> DeviceProfile | Composed:
    """The profile MODEL/DEVICE.json in `folder` (None: those that ship), or else the sum of the model's operators.

    Devices that share the model, `tensor_parallelism` of them, are stored as DEVICE_tpN. `source` says which of SOURCES
    is to be taken (None: a stored one where there is one). What follows is of a composed one (`profiles.composed`;
    None: DEFAULTS): ValueError where a stored one is taken and it is given, and where there is neither.
    """
    if source not in (None, *SOURCES):
        raise ValueError(f"source must be null, {' or '.join(SOURCES)}, got {source!r}")
    if tensor_parallelism < 1:
        raise ValueError(f"tensor_parallelism must be at least 1 device, got {tensor_parallelism}")
    stored = device if tensor_parallelism == 1 else f"{device}_tp{tensor_parallelism}"
    data = DATA if folder is None else Path(folder)
    if source == "stored" or (source is None and (model, stored) in available(data)):
        given: dict[str, Any] = {"dtype": dtype, "weights": weights, "launching": launching, "utilization": utilization}
        given |= {"max_model_len": max_model_len, "ignored": list(ignored) or None}
        if unread := [f"{name}={value}" for name, value in given.items() if value is not None]:
            raise ValueError(f"{', '.join(unread)}: of a composed profile, and {model}/{stored}.json is stored: "
                             "give source=composed to compose one")  # fmt: skip
        return load(model, stored, folder)
    absent = f"no profile {model}/{stored}.json in {'those that ship' if folder is None else data}, and"
    sheets = sorted(path.stem for path in (CONFIGS / "device").glob("*.yaml"))
    if device not in sheets and not device.endswith(SUFFIX):
        profiles = [one for of, one in available(data) if of == model]
        said = f"profiles of {model}: {', '.join(profiles) or 'none'}; datasheets: {', '.join(sheets)}"
        raise ValueError(
            f"{absent} no datasheet of device {device!r}{nearest(device, [*profiles, *sheets])}; {said}, or a yaml"
        )
    if not is_path(model) and model not in ARCHITECTURES:
        names = sorted({*(of for of, _ in available(data)), *ARCHITECTURES})
        said = f"give the path of its config.json, or one of {', '.join(names)}"
        raise ValueError(f"{absent} no sizes of model {model!r}{nearest(model, names)}: {said}")
    share = DEFAULTS["utilization"] if utilization is None else utilization
    made = composed(
        model,
        device,
        dtype or DEFAULTS["dtype"],
        launching or DEFAULTS["launching"],
        weights,
        utilization=share,
        max_model_len=max_model_len,
        tensor_parallelism=tensor_parallelism,
        ignored=ignored,
    )
    memory = tensor_parallelism * made.sheet.memory_bytes
    room = f"{share:g} of {memory:,} bytes less {made.weight_bytes:,} of weights"
    return replace(made, provenance={**made.provenance, "room": room})


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is meant, perhaps."""
    near = [one for one in known if one.startswith(name)] or get_close_matches(name, known, 1, 0.6)
    return f", did you mean {near[0]}?" if near else ""
