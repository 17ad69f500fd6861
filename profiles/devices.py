"""The datasheets, and the ways to launch, that ship in conf/analytic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from profiles.operators.roofline import Device

CONFIGS = Path(__file__).parent / "conf" / "analytic"


def settings(group: str, name: str) -> dict[str, Any]:
    """The values of one yaml of conf/analytic; ValueError names those that there are."""
    path = CONFIGS / group / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in (CONFIGS / group).glob("*.yaml")))
        raise ValueError(f"{group} must be one of {known}, got {name!r}")
    loaded: Any = OmegaConf.to_container(OmegaConf.load(path))
    return dict(loaded)


def datasheet(device: str) -> Device | None:
    """The datasheet of a profile's device: the one whose name the device's begins with, the longest such."""
    known = sorted((path.stem for path in (CONFIGS / "device").glob("*.yaml")), key=len, reverse=True)
    names = [name for name in known if device == name or device.startswith(f"{name}_")]
    return Device(**settings("device", names[0])) if names else None
