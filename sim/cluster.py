"""A cluster: devices that hold the same model, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass

from sim.device import Device


@dataclass(frozen=True, slots=True)
class Link:
    """What KV travels on from one replica to another: seconds of latency, and bytes per second."""

    latency: float
    bytes_per_second: float

    def __post_init__(self) -> None:
        if not (self.latency >= 0 and self.bytes_per_second > 0):
            raise ValueError(f"a link needs latency >= 0 and bytes/s > 0, got {self.latency}, {self.bytes_per_second}")

    def seconds(self, size: float) -> float:
        """Seconds that `size` bytes take."""
        return self.latency + size / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class Cluster:
    """Devices that hold the same model, and the link between any two of them."""

    devices: tuple[Device, ...]
    link: Link | None = None

    def __post_init__(self) -> None:
        names = [device.name for device in self.devices]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a cluster needs devices with distinct names, got {names}")
