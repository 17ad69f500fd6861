"""A cluster: devices with a model on each, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass

from sim.device import Device
from sim.link import Link


@dataclass(frozen=True, slots=True)
class Cluster:
    """Devices, and the link between any two of them: each way of each pair has its own.

    They may hold one model or several: a request is answered by that to which it is routed. If it `steps_together` a
    step of each takes as long as the slowest's, as with experts that lie on all of them.
    """

    devices: tuple[Device, ...]
    link: Link | None = None
    steps_together: bool = False

    def __post_init__(self) -> None:
        names = [device.name for device in self.devices]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a cluster needs devices with distinct names, got {names}")
