"""Clusters that may carry a load: how each is composed, what it costs, and how few devices of a kind are enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.capacity.asked import System
from experiments.capacity.prices import Price

SPLIT = "prefill_decode"  # the cluster and the roles of its devices
ROLES = ("prefill", "decode")
STORED = "profiles.profile.load"  # what the split's own devices are of
FREE = 1e18  # bytes/s of a link that takes no time


@dataclass(frozen=True, slots=True)
class Candidate:
    """Devices by role: all alike and `together`, or some that prefill and some that decode."""

    devices: tuple[tuple[str, str, int], ...]  # (role, device, how many)
    texts: tuple[str, ...]
    link: float | None = None  # bytes/s between those of two roles

    @property
    def name(self) -> str:
        """As `3 x h100_sxm`, or `1 x h100_sxm prefill + 2 x l40s decode`."""
        return " + ".join(f"{count} x {device}{f' {role}' if role else ''}" for role, device, count in self.devices)

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Its roles and their devices, however many."""
        return tuple((role, device) for role, device, _ in self.devices)

    def dollars(self, prices: Mapping[str, Price]) -> float:
        """What an hour costs."""
        return sum(count * prices[device].dollars for _, device, count in self.devices)

    @property
    def total(self) -> int:
        """Devices."""
        return sum(count for _, _, count in self.devices)


@dataclass(frozen=True, slots=True)
class Base:
    """What a command asks for, whose cluster each candidate is put in place of."""

    system: System

    @property
    def entry(self) -> str:
        """The devices of the cluster that are counted, its only ones of the kind gpu; ValueError for none or more."""
        devices = self.system.cfg.cluster.devices
        found = [str(name) for name, entry in devices.items() if entry.kind == "gpu"]
        if len(found) != 1:
            raise ValueError(
                f"one entry of the cluster's devices must be of the kind gpu, to be counted, and {len(found)} are"
            )
        return found[0]

    def check(self) -> None:
        """ValueError for a setting that every candidate has another value of."""
        for text in self.system.texts:
            key, _, value = text.lstrip("+").partition("=")
            part = key.removeprefix("cluster.devices.")
            if part == key:
                continue
            if part == f"{self.entry}.profile.device":
                raise ValueError(f"{text}: devices=NAME,... says on what it is planned")
            if part == f"{self.entry}.count":
                raise ValueError(f"{text}: how many there are is what is looked for; most=N says how many at most")
            if part.endswith(".count") and value != "0":
                raise ValueError(f"{text}: candidates have none of the cluster's other devices")

    @property
    def model(self) -> str:
        """Of the profiles of its devices; ValueError where those name none."""
        profile = self.system.cfg.cluster.devices[self.entry].profile
        if "model" not in profile or "device" not in profile:
            raise ValueError("the cluster's profile names no model and device: give cluster=llama_8b, or another")
        return str(profile.model)

    def has(self, device: str) -> bool:
        """Whether there is a profile of the model on a device."""
        profile = self.system.cfg.cluster.devices[self.entry].profile.copy()
        profile.device = device
        try:
            instantiate(profile)
        except (FileNotFoundError, InstantiationException):
            return False
        return True

    def together(self, device: str, count: int) -> Candidate:
        """So many replicas, each of which does all; none of the cluster's other devices."""
        others = [name for name in self.system.cfg.cluster.devices if name != self.entry]
        path = f"cluster.devices.{self.entry}"
        own = [f"{path}.count={count}", f"{path}.profile.device={device}"]
        own += [f"cluster.devices.{name}.count=0" for name in others]
        return Candidate((("", device, count),), _with(self.system.texts, own))

    def split(self, counts: Sequence[tuple[str, int]], link: float) -> Candidate:
        """Devices that prefill and devices that decode, with a link of so many bytes/s between each two of them."""
        kept = [text for text in self.system.texts if not text.lstrip("+").startswith(("cluster", "policy/routing="))]
        own = [f"cluster={SPLIT}", "policy/routing=disaggregation"]
        for role, (device, count) in zip(ROLES, counts, strict=True):
            path = f"cluster.devices.{role}"
            own += [f"{path}.count={count}", *self._profile(f"{path}.profile", device)]
            own += [f"{path}.{name}={value}" for name, value in self._kept().items()]
        own += [f"cluster.link.bytes_per_second={link:g}", *(["cluster.link.latency=0.0"] if link == FREE else [])]
        roles = tuple((role, device, count) for role, (device, count) in zip(ROLES, counts, strict=True))
        return Candidate(roles, _with(kept, own), link)

    def _profile(self, path: str, device: str) -> list[str]:
        """The settings at `path` of the base's own profile on another device."""
        profile = self.system.cfg.cluster.devices[self.entry].profile
        if profile._target_ == STORED:
            return [f"{path}.device={device}", f"{path}.model={self.model}"]
        values = OmegaConf.to_container(profile, resolve=True)
        assert isinstance(values, dict)
        own = {str(name): device if name == "device" else value for name, value in values.items()}
        return [f"++{path}.{name}={_typed(value)}" for name, value in own.items()]

    def _kept(self) -> dict[str, str]:
        """What was asked of the cluster's devices beside the profile, as the split's devices are to have it too."""
        path = f"cluster.devices.{self.entry}."
        given = [text.lstrip("+").partition("=") for text in self.system.texts]
        own = {key.removeprefix(path): value for key, _, value in given if key.startswith(path)}
        return {name: value for name, value in own.items() if name != "count" and not name.startswith("profile.")}


def _typed(value: Any) -> str:
    """A value as it is typed on a command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(_typed, value))}]" if isinstance(value, list) else str(value)


def _with(texts: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """`texts`, and `own` in place of those of the same keys."""
    keys = {text.lstrip("+").partition("=")[0] for text in own}
    return (*(text for text in texts if text.lstrip("+").partition("=")[0] not in keys), *own)


def least(holds: Callable[[int], bool], most: int) -> int | None:
    """The smallest number, from 1 to `most`, at which it holds, if it holds at all greater ones too; None if at none.

    By doubling, then by halves.
    """
    low, high = 0, 1  # it does not hold at the first
    while not holds(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def load_of(cfg: DictConfig) -> float:
    """The rate that is to be carried, requests/s; ValueError where the trace has none set."""
    rate = OmegaConf.select(cfg, "trace.rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool):
        raise ValueError("say how many requests/s are to be carried: trace.rate=60")
    return float(rate)
