"""The datasheets, and the ways to launch, that ship in conf/analytic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from profiles.datasheets import checked
from profiles.operators.roofline import Device

CONFIGS = Path(__file__).parent / "conf" / "analytic"
SUFFIX = ".yaml"


def settings(group: str, name: str) -> dict[str, Any]:
    """The values of one yaml of conf/analytic, or of the file of one's own that `name` is the path of.

    ValueError names those that there are, or what is wrong with that file.
    """
    own = name.endswith(SUFFIX)
    path = Path(name).expanduser() if own else CONFIGS / group / f"{name}{SUFFIX}"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in (CONFIGS / group).glob(f"*{SUFFIX}")))
        raise ValueError(f"no {group} at {path}" if own else f"{group} must be one of {known}, got {name!r}")
    try:
        loaded: Any = OmegaConf.to_container(OmegaConf.load(path))
    except YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} must hold a line a key, as name: ..., got {loaded!r}")
    return loaded


def sheet_of(device: str) -> Device:
    """The datasheet that ships as `device`, or lies in the yaml that it is the path of; ValueError names its keys."""
    return checked(Device, device, settings("device", device))


def datasheet(device: str) -> Device | None:
    """The datasheet of a profile's device: the one whose name the device's begins with, the longest such."""
    known = sorted((path.stem for path in (CONFIGS / "device").glob("*.yaml")), key=len, reverse=True)
    names = [name for name in known if device == name or device.startswith(f"{name}_")]
    return sheet_of(names[0]) if names else None
