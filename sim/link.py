"""What KV travels on: between replicas, and between a device and its host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Sharing(Enum):
    """How the transfers that are under way on a link share it."""

    FIRST_COME = "first_come"  # one after the other, each at full speed
    FAIR = "fair"  # all at once, each with an equal share of the bandwidth


@dataclass(frozen=True, slots=True)
class Link:
    """Seconds of latency, which is over before a transfer's end and keeps no other waiting, and bytes per second."""

    latency: float
    bytes_per_second: float
    sharing: Sharing = Sharing.FIRST_COME

    def __post_init__(self) -> None:
        if not self.latency >= 0:
            raise ValueError(f"the latency of a link must not be negative, got {self.latency} s")
        if not self.bytes_per_second > 0:
            raise ValueError(f"bytes_per_second of a link must be positive, got {self.bytes_per_second}")
        object.__setattr__(self, "latency", float(self.latency))
        object.__setattr__(self, "bytes_per_second", float(self.bytes_per_second))
        if not isinstance(self.sharing, Sharing):  # as in a yaml
            object.__setattr__(self, "sharing", _sharing(self.sharing))

    def seconds(self, size: float) -> float:
        """Seconds that `size` bytes take when nothing else is under way."""
        return self.latency + size / self.bytes_per_second


def _sharing(name: object) -> Sharing:
    """ValueError for a name that is none."""
    try:
        return Sharing(name)
    except ValueError:
        raise ValueError(f"sharing must be {' or '.join(one.value for one in Sharing)}, got {name!r}") from None
