"""The datasheets of conf/analytic/device by what a driver calls the device."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from profiles.datasheets import read
from profiles.operators.roofline import Device

FOLDER = Path(__file__).parents[1] / "conf" / "analytic" / "device"
DATASHEETS = {
    "NVIDIA A100-SXM4-80GB": "a100_sxm",
    "NVIDIA H100 80GB HBM3": "h100_sxm",
    "NVIDIA H200": "h200",
    "NVIDIA L40S": "l40s",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx_pro_6000",
}


def datasheet(name: str) -> Device | None:
    """The datasheet of the device that its driver calls `name`, if there is one."""
    if name not in DATASHEETS:
        return None
    sheet = OmegaConf.load(FOLDER / f"{DATASHEETS[name]}.yaml")
    assert isinstance(sheet, DictConfig)
    return read(Device, "device", sheet)
