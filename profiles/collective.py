"""What devices that share a model out among them say to each other in a step, and how long that takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from profiles.kernel_tables import Grid, read_layers


class Collective(Protocol):
    """Seconds of the two exchanges of tensor parallelism among `devices`."""

    def all_reduce(self, size: float, devices: int) -> float:
        """Until each has the sum of the `size` bytes that every one of them holds."""
        ...

    def all_gather(self, size: float, devices: int) -> float:
        """Until each has all `size` bytes, of which every one of them holds an equal part."""
        ...


@dataclass(frozen=True, slots=True)
class Ring:
    """Devices in a ring, each sending to the next at `bytes_per_second`; an exchange takes `start_seconds` beside that.

    To gather each sends (n - 1) / n of the size, and to add up twice as much: no algorithm sends less (Patarasuk and
    Yuan, 2009), and for two devices it is what each holds, once, as vLLM's own direct exchange. The start is of the
    exchange and not of each message: NCCL takes 12.7 us to add up 4 kB among two devices and 10.5 us to gather as much
    ([R] the datasheet of the RTX PRO 6000), where twice as many messages follow one another.
    """

    bytes_per_second: float
    start_seconds: float

    def __post_init__(self) -> None:
        if not self.bytes_per_second > 0:
            raise ValueError(f"bytes_per_second of the link must be positive, got {self.bytes_per_second}")
        if not self.start_seconds >= 0:
            raise ValueError(f"start_seconds of the link must not be negative, got {self.start_seconds}")

    def __str__(self) -> str:
        return f"{self.bytes_per_second / 1e9:g} GB/s and {self.start_seconds * 1e6:g} us an exchange"

    def all_reduce(self, size: float, devices: int) -> float:
        """As in `Collective`."""
        return self.start_seconds + 2 * (devices - 1) / devices * size / self.bytes_per_second

    def all_gather(self, size: float, devices: int) -> float:
        """As in `Collective`."""
        return self.start_seconds + (devices - 1) / devices * size / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class MeasuredCollective:
    """Collectives by a table of their times among so many devices as will be asked for."""

    reducing: Grid
    gathering: Grid

    def all_reduce(self, size: float, devices: int) -> float:
        """As in `Collective`."""
        return self.reducing.at(size)

    def all_gather(self, size: float, devices: int) -> float:
        """As in `Collective`."""
        return self.gathering.at(size)


def read_collective(path: str | Path) -> MeasuredCollective:
    """The table in a csv file with columns layer (all_reduce, all_gather), bytes and time_us; see `Collective`."""
    layers = read_layers(Path(path), "bytes", ("all_reduce", "all_gather"))
    return MeasuredCollective(layers["all_reduce"], layers["all_gather"])


@dataclass(frozen=True, slots=True)
class Exchange:
    """What `devices` exchange in each step of a model of so many `hidden` columns and words in its `vocabulary`.

    The hidden states are added up after the embedding and twice a layer (Megatron-LM, arXiv 1909.08053, section 3), and
    each sequence's logits are gathered, in elements of `element_bytes`.
    """

    collective: Collective
    devices: int
    hidden: int
    vocabulary: int
    element_bytes: int = 2

    def __post_init__(self) -> None:
        if not self.devices > 1:
            raise ValueError(f"an exchange is among 2 devices or more, got {self.devices}")

    def token_seconds(self, tokens: float, layers: int) -> float:
        """Seconds of the all-reduces of a step over so many tokens."""
        size = tokens * self.hidden * self.element_bytes
        return (1 + 2 * layers) * self.collective.all_reduce(size, self.devices)

    def sequence_seconds(self, sequences: float) -> float:
        """Seconds of gathering the logits of so many sequences."""
        return self.collective.all_gather(sequences * self.vocabulary * self.element_bytes, self.devices)


def devices_of(table: str | Path) -> int:
    """How many devices share the model, one of which the file `table` is of: 1 unless its name has `_tpN` in it."""
    found = re.search(r"_tp(\d+)(?=[_.]|$)", Path(table).name)
    return int(found[1]) if found else 1


def check_devices(tables: Sequence[str | Path], all_reduce: Exchange | None) -> None:
    """ValueError unless `all_reduce` is among as many devices as each of the `tables` says that it is one of."""
    devices = all_reduce.devices if all_reduce else 1
    for table in tables:
        if (stated := devices_of(table)) != devices:
            said = f"is among {devices}" if all_reduce else "is not said"
            raise ValueError(f"{table} is of one of {stated} devices, and all_reduce, what they exchange, {said}")
